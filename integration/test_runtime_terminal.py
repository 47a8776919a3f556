"""A terminal of the container's own, in the container's devpts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.sandbox import command_lines, wait_until
from integration.traces import Ground
from minirt.errors import InvalidRequest
from minirt.kernel import terminals


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    made = bundles.make(ground.root / "bundle", rootfs)
    made.process["terminal"] = True
    return made


def test_all_streams_are_the_terminal_and_it_controls_the_session(bundle: Bundle) -> None:
    seen = bundle.run(
        "sh", "-c", "tty; for n in 0 2; do readlink /proc/$$/fd/$n; done; cat /proc/$$/stat"
    )
    assert seen.lines[:3] == ["/dev/pts/0"] * 3
    assert seen.lines[3].split()[6] == str(os.makedev(136, 0))


def test_it_has_no_further_descriptors(bundle: Bundle) -> None:
    assert bundle.run("ls", "/proc/self/fd").output.split() == ["0", "1", "2", "3"]


def line_from(console: int) -> bytes:
    """Read one line, and no byte more: it may come in pieces."""
    with open(console, "rb", buffering=0, closefd=False) as stream:
        return stream.readline()


def test_its_size_is_that_of_the_config_and_can_change(bundle: Bundle) -> None:
    bundle.process["consoleSize"] = {"height": 33, "width": 111}
    # Short sleeps: a shell's "read" may miss a signal that comes just before it waits.
    script = "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.01; done"
    created = bundle.create("sh", "-c", script)
    bundles.started_or_discarded(created)
    assert created.console is not None
    assert line_from(created.console) == b"33 111\r\n"
    terminals.set_size(created.console, 44, 222)
    assert bundles.read_all(created.console) == "44 222\n"
    assert bundles.collected(created) == 0


def test_the_console_is_the_terminal(bundle: Bundle) -> None:
    seen = bundle.run("sh", "-c", "echo hello > /dev/console; stat -c %t:%T /dev/console")
    assert seen.lines == ["hello", "88:0"]


def test_it_belongs_to_the_user_and_the_group_tty(bundle: Bundle) -> None:
    bundle.setting["user"] = "33"
    seen = bundle.run("sh", "-c", "stat -c '%u %g %a' $(tty); echo > /dev/tty")
    assert seen.lines == ["33 5 620", ""]


def test_ctrl_c_interrupts_what_runs_in_the_foreground(bundle: Bundle) -> None:
    created = bundle.create("sh", "-c", "trap 'echo caught; exit 5' INT; echo up; sleep 100 & wait")
    bundles.started_or_discarded(created)
    assert created.console is not None
    assert line_from(created.console) == b"up\r\n"
    os.write(created.console, b"\x03")
    assert "caught" in bundles.read_all(created.console)
    assert bundles.collected(created) == 5


def test_a_closed_master_hangs_it_up(bundle: Bundle) -> None:
    created = bundle.create("sh", "-c", "trap 'exit 9' HUP; echo up; sleep 100 & wait")
    bundles.started_or_discarded(created)
    assert created.console is not None
    assert line_from(created.console) == b"up\r\n"
    os.close(created.console)
    found = os.waitid(os.P_PIDFD, created.pidfd, os.WEXITED)
    os.close(created.pidfd)
    assert found and found.si_status == 9


@pytest.mark.parametrize("place", ["volume", "symlink"])
def test_what_only_looks_like_a_devpts_is_refused(
    bundle: Bundle, tmp_path: Path, place: str
) -> None:
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/dev/pts"]
    if place == "volume":
        (tmp_path / "ptmx").touch()
    else:
        (tmp_path / "ptmx").symlink_to("/dev/ptmx")
        # The control: whoever follows it has a terminal of the host's.
        assert (tmp_path / "ptmx").stat().st_rdev == os.makedev(5, 2)
    bundle.mount("/dev/pts", "bind", tmp_path, "rbind")
    with pytest.raises(InvalidRequest, match="Cannot open a terminal in /dev/pts"):
        bundle.create("true")


def test_a_second_process_gets_a_terminal_of_its_own(bundle: Bundle) -> None:
    with bundle.running() as created:
        seen = bundles.enter_and_wait(
            created, "sh", "-c", "tty; stty size; ls /proc/self/fd", console_size=(11, 22)
        )
    assert seen.lines[:2] == ["/dev/pts/1", "11 22"]
    assert seen.output.split()[3:] == ["0", "1", "2", "3"]


def test_a_background_job_dies_with_init(bundle: Bundle) -> None:
    created = bundle.create("sh", "-c", "sleep 1000 & echo up; exit 4")
    bundles.started_or_discarded(created)
    assert created.console is not None
    assert bundles.read_all(created.console) == "up\n"
    assert bundles.collected(created) == 4
    wait_until(lambda: not sleepers())


def test_where_there_is_no_pid_namespace_it_does_not(bundle: Bundle) -> None:
    """The control for the test above: it would keep a terminal, and whoever waits for its end."""
    left = [one for one in bundle.linux["namespaces"] if one["type"] != "pid"]
    bundle.linux["namespaces"] = left
    created = bundle.create("sh", "-c", "trap '' HUP; sleep 1000 & echo up; exit 4")
    bundles.started_or_discarded(created)
    assert bundles.collected(created) == 4
    wait_until(lambda: bool(sleepers()))  # The shell may have ended before its child's execve.
    (survivor,) = sleepers()
    os.kill(survivor, signal.SIGKILL)


def sleepers() -> list[int]:
    return [pid for pid, words in command_lines().items() if "sleep 1000" in " ".join(words)]
