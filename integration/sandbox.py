"""What the tests use of their sandbox: waiting, looking into namespaces, an outside host.

Nothing here knows pytest's life; that is in conftest.py.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from sysconfig import get_path

import pytest

from minirt.kernel import processes

# A virtual machine without hardware support is twenty times slower: it sets 20.
PATIENCE = float(os.environ.get("MINIRT_TEST_PATIENCE") or 1)
REPOSITORY = Path(__file__).resolve().parent.parent
OUTSIDE_LINK = "test-outside"  # in the test's network; "test-…" links are never called leaks


def wait_until(condition: Callable[[], object], what: str = "it", seconds: float = 10) -> None:
    """Wait for ``condition``; fail the test when it does not come true in time."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.005)


def shell(
    *words: object, code: int | None = 0, input: str | None = None, seconds: float = 20
) -> subprocess.CompletedProcess[str]:
    """Run a program of the host inside the sandbox; fail the test on another exit code."""
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        input=input,
        timeout=seconds * PATIENCE,
        check=False,
    )
    assert code is None or done.returncode == code, (
        f"{' '.join(map(str, words))} ended with {done.returncode}, not {code}\n"
        f"--- stdout\n{done.stdout}--- stderr\n{done.stderr}"
    )
    return done


def compiled(source: Path, folder: Path) -> Path:
    """Return the program of a file in C: static, since images have no libraries."""
    if not shutil.which("gcc"):
        pytest.skip("apt install gcc")
    program = folder / source.stem
    shell("gcc", "-static", "-o", program, source, seconds=60)
    return program


def minirt_words(*words: object) -> list[str]:
    """Return the command line that runs minirt as it was typed."""
    client = Path(__file__).with_name("client.py")
    return [sys.executable, "-IS", str(client), get_path("purelib"), *map(str, words)]


class Program(subprocess.Popen[str]):
    """A program that is waited for with the patience that this machine needs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        return super().wait(timeout and timeout * PATIENCE)

    def communicate(
        self, input: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Give it all input, and wait for all that it says."""
        return super().communicate(input, timeout and timeout * PATIENCE)


@contextlib.contextmanager
def started(*words: object, **options: object) -> Iterator[Program]:
    """Keep a program running during the body; kill it afterwards if it still does."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child: Program = Program(  # type: ignore[call-overload]
        [str(word) for word in words], text=True, **(pipes | options)
    )
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def command_lines() -> dict[int, list[str]]:
    """Return the words of every process that this one sees, by pid."""
    found = {}
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # It went while we looked.
            found[int(one.parent.name)] = one.read_text(errors="replace").split("\0")
    return found


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    """Wait until a process has ended and closed what it held."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert processes.wait_until_dead(pidfd, seconds * PATIENCE)
    os.close(pidfd)


def in_netns(
    pid: int, *words: object, code: int | None = 0, input: str | None = None, seconds: float = 20
) -> subprocess.CompletedProcess[str]:
    """Run a program of the host in the network namespace of ``pid``."""
    enter = ("nsenter", f"--net=/proc/{pid}/ns/net")
    return shell(*enter, *words, code=code, input=input, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Outside:
    """Another machine, one wire away: a network namespace that a process keeps open.

    It knows no way to the addresses of containers. Only what was translated to
    ``host_address`` finds its way back, as on the Internet (RFC 5737 addresses).
    """

    pid: int
    address: str = "192.0.2.2"
    host_address: str = "192.0.2.1"
    link: str = OUTSIDE_LINK

    def run(
        self,
        *words: object,
        code: int | None = 0,
        input: str | None = None,
        seconds: float = 20,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on that machine."""
        return in_netns(self.pid, *words, code=code, input=input, seconds=seconds)

    def enter(self) -> tuple[str, str]:
        """Return the words that make a command run on that machine (for ``started``)."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net")


@contextlib.contextmanager
def another_network(*unshare: str) -> Iterator[int]:
    """Keep another network namespace for the body; yield the pid of a process in it.

    ``unshare`` is the unshare(1) command that creates it, if not "unshare --net".
    """
    with started(
        *(unshare or ("unshare", "--net")), "sh", "-c", "echo up; exec sleep infinity"
    ) as keeper:
        assert keeper.stdout and keeper.stdout.readline() == "up\n"
        yield keeper.pid


@contextlib.contextmanager
def outside_host() -> Iterator[Outside]:
    """Connect the network of the test with another machine, its default gateway."""
    with another_network() as pid:
        there = Outside(pid)
        peer = ("peer", "name", "eth0", "netns", pid)
        shell("ip", "link", "add", OUTSIDE_LINK, "type", "veth", *peer)
        shell("ip", "address", "add", f"{there.host_address}/24", "dev", OUTSIDE_LINK)
        shell("ip", "link", "set", OUTSIDE_LINK, "up")
        shell("ip", "route", "add", "default", "via", there.address)
        there.run("ip", "link", "set", "lo", "up")
        there.run("ip", "address", "add", f"{there.address}/24", "dev", "eth0")
        there.run("ip", "link", "set", "eth0", "up")
        yield there
        shell("ip", "link", "delete", OUTSIDE_LINK, code=None)


def over_ipv6(there: Outside) -> Outside:
    """Give the host and the other machine IPv6 addresses (RFC 3849); return the machine so."""
    six = replace(there, address="2001:db8:f::2", host_address="2001:db8:f::1")
    shell("ip", "address", "add", f"{six.host_address}/64", "dev", OUTSIDE_LINK, "nodad")
    there.run("ip", "address", "add", f"{six.address}/64", "dev", "eth0", "nodad")
    shell("ip", "route", "add", "default", "via", six.address)
    # Until its link-local address is known to be its own, the host can ask for no neighbour.
    shown = ("ip", "-6", "address", "show", "dev", OUTSIDE_LINK)
    wait_until(lambda: "tentative" not in shell(*shown).stdout, "the end of DAD")
    return six


# ---- what a test needs: to be put above it as a decorator --------------------------------------


def needs_tool(*names: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed."""
    missing = [name for name in names if not shutil.which(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def needs_kernel(major: int, minor: int) -> pytest.MarkDecorator:
    """Skip a test where the kernel is older."""
    have = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    return pytest.mark.skipif(
        have < (major, minor), reason=f"needs Linux {major}.{minor}, this is {platform.release()}"
    )


def needs_controller(name: str) -> pytest.MarkDecorator:
    """Skip a test where no cgroup hierarchy, of either version, has the controller."""
    return pytest.mark.skipif(name not in controllers(), reason=f"no cgroup controller {name}")


def needs_file(path: str) -> pytest.MarkDecorator:
    """Skip a test where the kernel does not show a file."""
    return pytest.mark.skipif(not Path(path).exists(), reason=f"this kernel has no {path}")


def is_cgroup2_only() -> bool:
    """Say whether this machine has the unified hierarchy alone (cgroups(7))."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def controllers() -> set[str]:
    """Return the cgroup controllers that can be used here (cgroups(7))."""
    found: set[str] = set()
    for root in cgroup_roots():
        listed = root / "cgroup.controllers"
        names = listed.read_text().split() if listed.exists() else root.name.split(",")
        found.update(names)
    return found


def cgroup_roots() -> list[Path]:
    """Return where the cgroup hierarchies are mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    fields = [line.split() for line in lines]
    return [Path(one[1]) for one in fields if one[2] in ("cgroup", "cgroup2")]
