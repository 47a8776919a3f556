"""Real firewalls for a test: firewalld with a bus of its own, and ufw with folders of its own.

Both come from Debian's packages, as setup.sh unpacks them. They filter the network namespace of
the test, and find neither the host's configuration nor its bus.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration import peers
from integration.sandbox import shell, started, wait_until
from minirt.kernel import nftables

PYTHON = "/usr/bin/python3"  # Debian's, for which these packages are
LIBRARIES = Path("/usr/lib/python3/dist-packages")
BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def _top(program: str) -> Path:
    """Return where a package has been unpacked: "/" if it is installed."""
    found = shutil.which(program)
    assert found, "needs_firewalld or needs_peer has looked"
    return Path(found).parent.parent.parent


def _environment(top: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(top / "usr/lib/python3/dist-packages")}


def needs_firewalld() -> pytest.MarkDecorator:
    """Skip a test where firewalld, a library of it, or the bus is missing."""
    peers.on_path()
    missing = [name for name in ("firewalld", "dbus-daemon", PYTHON) if not shutil.which(name)]
    missing += [name for name in ("dbus", "gi") if not (LIBRARIES / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@dataclass(frozen=True, slots=True)
class Firewall:
    """A firewall at work; calling it calls its program."""

    words: tuple[object, ...]
    folder: Path  # its configuration

    def __call__(self, *words: object, code: int | None = 0) -> str:
        """Return what the program prints."""
        done = shell(*self.words, *words, code=code, seconds=60)
        return done.stdout.strip()

    def files(self) -> dict[str, str]:
        """Return all that is written in its configuration."""
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path): path.read_text() for path in found}


def forget_rules() -> None:
    """Remove all rules of the test's host, and what kept its network namespace: libnftables."""
    nftables.close()
    shell("nft", "flush", "ruleset")


@contextlib.contextmanager
def firewalld(where: Path, backend: str = "nftables", **settings: str) -> Iterator[Firewall]:
    """Keep firewalld running as it is after installation, but for ``settings``.

    The environment must name the bus that :func:`bus` keeps.
    """
    top = _top("firewalld")
    folder = where / "firewalld"
    folder.mkdir(exist_ok=True)
    settings = {"FirewallBackend": backend, **settings}
    (folder / "firewalld.conf").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    words: list[object] = [PYTHON, top / "usr/sbin/firewalld", "--nofork", "--nopid"]
    words += ["--default-config", top / "usr/lib/firewalld", "--system-config", folder]
    with (where / "log").open("w") as log:
        options = {"stdout": log, "stderr": log, "env": _environment(top)}
        with started(*words, "--log-target", "console", **options) as daemon:
            python = ("env", f"PYTHONPATH={_environment(top)['PYTHONPATH']}", PYTHON)
            here = Firewall((*python, top / "usr/bin/firewall-cmd"), folder)
            wait_until(lambda: here("--state", code=None) == "running", "firewalld", 30)
            yield here
            daemon.terminate()
            daemon.wait(20)


@contextlib.contextmanager
def bus(where: Path) -> Iterator[str]:
    """Keep a system bus; give its address, for DBUS_SYSTEM_BUS_ADDRESS."""
    path = where / "bus"  # short: the path of a Unix socket ends at 107 bytes
    (where / "bus.conf").write_text(BUS.format(path=path))
    words = ("dbus-daemon", "--nofork", "--nopidfile", "--config-file", where / "bus.conf")
    with started(*words):
        wait_until(path.exists, "the bus")
        yield f"unix:path={path}"


@contextlib.contextmanager
def ufw(where: Path) -> Iterator[Firewall]:
    """Enable ufw as it is after installation, in a root folder of its own."""
    top, root = _top("ufw"), where / "ufw"
    library = next(one for one in (top / "usr/lib/ufw", top / "lib/ufw") if one.exists())
    shutil.copytree(library, root / "lib/ufw")
    shutil.copytree(top / "etc/ufw", root / "etc/ufw")
    shutil.copytree(top / "usr/share/ufw", root / "usr/share/ufw")
    (root / "etc/default").mkdir()
    shutil.copy(top / "etc/default/ufw", root / "etc/default")
    for path in (*(top / "usr/share/ufw").glob("*.rules"), top / "usr/share/ufw/ufw.conf"):
        shutil.copy(path, root / "etc/ufw")
    python = ("env", f"PYTHONPATH={_environment(top)['PYTHONPATH']}", PYTHON)
    words = (*python, top / "usr/sbin/ufw", f"--rootdir={root}", f"--datadir={root}")
    here = Firewall(words, root / "etc")
    here("--force", "enable")
    yield here
    here("disable")
