"""Containers straight from a config.json, below images, networks and monitors."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from integration.sandbox import PATIENCE
from minirt.container import defaults
from minirt.kernel import processes
from minirt.kernel.clone import Child
from minirt.runtime import create, enter, reader
from minirt.runtime.create import Created, Setting
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import OCI_VERSION, Process, Spec

NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")
LONGEST = 20 * PATIENCE  # seconds that a command may take


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it had said on both streams."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        """The same, line by line."""
        return self.output.splitlines()


@dataclass(slots=True)
class Bundle:
    """A root file system with room for changes, and a config.json to be changed."""

    top: Path
    layers: list[Path]
    config: dict[str, Any] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)

    @property
    def process(self) -> dict[str, Any]:
        """The "process" of the config."""
        return self.config["process"]  # type: ignore[no-any-return]

    @property
    def linux(self) -> dict[str, Any]:
        """The "linux" of the config."""
        return self.config["linux"]  # type: ignore[no-any-return]

    @property
    def changes(self) -> Path:
        """What the container has written."""
        return self.top / "upper"

    def add_layer(self, name: str) -> Path:
        """Put one more layer on top; return its folder."""
        folder = self.top / name
        folder.mkdir()
        self.layers.insert(0, folder)
        return folder

    def mount(self, destination: str, kind: str, source: object = "", *options: str) -> None:
        """Add a mount to the config."""
        one = {"destination": destination, "type": kind, "source": str(source)}
        self.config["mounts"].append({**one, "options": list(options)})

    def spec(self, *args: str) -> Spec:
        """Read the config, for this command."""
        return reader.read({**self.config, "process": {**self.process, "args": list(args)}})

    def create(self, *args: str, on_isolated: Callable[[Child], None] | None = None) -> Created:
        """Create the container."""
        overlay = Overlay(tuple(self.layers), self.changes, self.top / "work")
        setting = Setting(bundle=self.top, overlay=overlay, **self.setting)
        return create.create(self.spec(*args), setting, on_isolated or (lambda _init: None))

    def run(self, *args: str) -> Ended:
        """Create the container, start it, and wait for its end."""
        with _streams() as (stdio, read):
            created = replace_setting(self, stdio).create(*args)
            started_or_discarded(created)
            for fd in stdio:
                os.close(fd)
            output = read_all(read if created.console is None else created.console)
            os.close(read)
        return Ended(collected(created), output)

    @contextlib.contextmanager
    def running(self, *args: str) -> Iterator[Created]:
        """Keep the container running for the body."""
        created = self.create(*(args or ("sleep", "100")))
        started_or_discarded(created)
        try:
            yield created
        finally:
            signal.pidfd_send_signal(created.pidfd, signal.SIGKILL)
            collected(created)


def make(top: Path, rootfs: Path) -> Bundle:
    """Make a bundle with the defaults that every container has."""
    for name in ("upper", "work", "rootfs"):
        (top / name).mkdir(parents=True)
    caps = list(defaults.CAPABILITIES)
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "root": {"path": "rootfs"},
        "hostname": "one",
        "process": {
            "cwd": "/",
            "env": ["PATH=/bin"],
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "mounts": defaults.mounts(1 << 20),
        "linux": {
            "namespaces": [{"type": kind} for kind in NAMESPACES],
            "maskedPaths": list(defaults.MASKED_PATHS),
            "readonlyPaths": list(defaults.READONLY_PATHS),
        },
    }
    return Bundle(top, [rootfs], config)


def enter_and_wait(created: Created, *args: str, **changes: Any) -> Ended:
    """Run one more process in a running container; wait for its end."""
    keywords = {key: changes.pop(key) for key in ("user", "cgroup") if key in changes}
    process: Process = replace(created.spec.process, args=args, **changes)
    with _streams() as (stdio, read):
        entered = enter.enter(
            created.pidfd, created.pid, process, spec=created.spec, stdio=stdio, **keywords
        )
        for fd in stdio:
            os.close(fd)
        output = read_all(read if entered.console is None else entered.console)
        os.close(read)
        if entered.console is not None:
            os.close(entered.console)
    return Ended(collected(entered), output)


def replace_setting(bundle: Bundle, stdio: tuple[int, int, int]) -> Bundle:
    """Return the bundle with these streams, unless it has a terminal."""
    if bundle.process.get("terminal"):
        return bundle
    return replace(bundle, setting={"stdio": stdio, **bundle.setting})


def started_or_discarded(created: Created) -> None:
    """Start it; leave nothing behind if that fails."""
    try:
        create.start(created)
    except BaseException:
        create.discard(created)
        raise


def collected(one: Created | enter.Entered) -> int:
    """Wait for the end; return the exit code as a shell would tell it."""
    assert processes.wait_until_dead(one.pidfd, LONGEST), "it never ended"
    found = os.waitid(os.P_PIDFD, one.pidfd, os.WEXITED)
    assert found
    os.close(one.pidfd)
    if isinstance(one, Created) and one.console is not None:
        os.close(one.console)
    return found.si_status + (0 if found.si_code == os.CLD_EXITED else 128)


def read_all(fd: int) -> str:
    """Read to the end: of a pipe, or of a terminal that nobody has open any more (EIO)."""
    pieces = []
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while poll.poll(LONGEST * 1000):
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@contextlib.contextmanager
def _streams() -> Iterator[tuple[tuple[int, int, int], int]]:
    """Yield standard streams for a command, and the end of the pipe that its output comes from."""
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    read, write = os.pipe()
    before = (null, write, os.dup(write))
    try:
        yield before, read
    except BaseException:
        for fd in (*before, read):
            with contextlib.suppress(OSError):
                os.close(fd)
        raise
