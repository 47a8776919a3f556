"""Bundles for ``minirt-oci``, and calls of it as podman, docker and containerd make them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.bundles import NAMESPACES
from integration.peers import needs_peer
from integration.sandbox import shell, wait_until
from minirt.container import defaults
from minirt.runtime.spec import OCI_VERSION

WORDS = (sys.executable, "-m", "minirt.oci")
# The runtimes that callers know, for tests of what all three do. crun refuses hybrid cgroups unless
# version 2 is out of its sight.
RUNTIMES = {
    "minirt-oci": WORDS,
    "runc": ("runc",),
    "crun": (
        *("unshare", "--mount", "sh", "-c"),
        'umount /sys/fs/cgroup/unified 2> /dev/null; exec crun "$@"',
        "crun",
    ),
}


def each_runtime(*names: str) -> pytest.MarkDecorator:
    """Run a test with each runtime, or with minirt-oci and those that are named."""
    chosen = ("minirt-oci", *names) if names else tuple(RUNTIMES)
    marks = {name: needs_peer(name) for name in chosen[1:]}
    return pytest.mark.parametrize(
        "runtime", [pytest.param(name, marks=marks.get(name, ())) for name in chosen]
    )


@dataclass(slots=True)
class Oci:
    """A state root with a bundle; the config is written anew before each create."""

    top: Path
    config: dict[str, Any] = field(default_factory=dict)
    program: tuple[str, ...] = WORDS

    @property
    def root(self) -> Path:
        """The state root."""
        return self.top / "state"

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return self.top / "bundle"

    @property
    def rootfs(self) -> Path:
        """Its root file system."""
        return self.bundle / "rootfs"

    @property
    def process(self) -> dict[str, Any]:
        """The "process" of the config."""
        return self.config["process"]  # type: ignore[no-any-return]

    @property
    def linux(self) -> dict[str, Any]:
        """The "linux" of the config."""
        return self.config["linux"]  # type: ignore[no-any-return]

    def share(self, *kinds: str) -> None:
        """Let the container have no namespaces of its own of these kinds."""
        self.linux["namespaces"] = [
            one for one in self.linux["namespaces"] if one["type"] not in kinds
        ]

    def write(self, *args: str) -> None:
        """Write config.json, for this command."""
        if args:
            self.process["args"] = list(args)
        (self.bundle / "config.json").write_text(json.dumps(self.config))

    def words(self, *words: object) -> list[str]:
        """Return the words of a call."""
        return [*self.program, "--root", str(self.root), *map(str, words)]

    def __call__(
        self, *words: object, code: int | None = 0, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Call it; fail the test on another exit code (None: any will do)."""
        return shell(*self.words(*words), code=code, input=input)

    def create(self, name: str, *args: str, options: tuple[object, ...] = ()) -> None:
        """Create a container that keeps none of the test's pipes open."""
        self.write(*args)
        with self.output.open("ab") as output:
            done = subprocess.run(
                self.words("create", "--bundle", self.bundle, *options, name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        assert done.returncode == 0, self.output.read_text()

    def start(self, name: str, *args: str, options: tuple[object, ...] = ()) -> None:
        """Create a container, and start it."""
        self.create(name, *(args or ("sleep", "100")), options=options)
        self("start", name)

    @property
    def output(self) -> Path:
        """Where the created containers print."""
        return self.top / "output"

    def said(self) -> str:
        """Return what they have printed."""
        return self.output.read_text()

    def state(self, name: str) -> dict[str, Any]:
        """Return the state."""
        return json.loads(self("state", name).stdout)  # type: ignore[no-any-return]

    def status(self, name: str) -> str:
        """Return its status."""
        return str(self.state(name)["status"])

    def await_end(self, name: str) -> None:
        """Wait until it has stopped."""
        wait_until(lambda: self.status(name) == "stopped", f"the end of {name}")

    def is_clean(self) -> bool:
        """Say whether no container is left in the state root."""
        return not self.root.exists() or not any(self.root.iterdir())


def make(top: Path, rootfs: Path) -> Oci:
    """Make a bundle with its own copy of the root file system."""
    made = Oci(top)
    made.bundle.mkdir(parents=True)
    shutil.copytree(rootfs, made.rootfs, symlinks=True)
    made.rootfs.chmod(0o755)
    made.output.touch()
    caps = list(defaults.CAPABILITIES)
    made.config = {
        "ociVersion": OCI_VERSION,
        "root": {"path": "rootfs"},
        "hostname": "one",
        "process": {
            "args": ["true"],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "mounts": defaults.mounts(1 << 20),
        "linux": {
            "namespaces": [{"type": kind} for kind in NAMESPACES],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "maskedPaths": list(defaults.MASKED_PATHS),
            "readonlyPaths": list(defaults.READONLY_PATHS),
        },
    }
    return made


def script(top: Path) -> Path:
    """Return a program that is minirt-oci, with a state root in ``top``, for callers.

    Not by an option of the caller: podman's helpers don't get all options that podman has.
    """
    file = top / "minirt-oci"
    repository = Path(__file__).resolve().parent.parent
    lines = ["import sys", f"sys.path.insert(0, {str(repository)!r})"]
    lines += [f"sys.argv[1:1] = ['--root', {str(top / 'oci')!r}]"]
    call = ("from minirt.oci.main import main", "main()")
    file.write_text("\n".join([f"#!{sys.executable}", *lines, *call]) + "\n")
    file.chmod(0o755)
    return file


def with_descriptor(fd: int, number: int, words: list[str]) -> list[str]:
    """Return words that have ``fd`` open as ``number``, and not as itself."""
    return ["bash", "-c", f'exec "$@" {number}>&{fd} {fd}>&-', "bash", *words]
