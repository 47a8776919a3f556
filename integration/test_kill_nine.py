"""``kill -9``: of a monitor, of ``run`` in the foreground, of init. Nothing is left."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of, pid_of, state_of
from integration.sandbox import compiled, minirt_words, started, wait_until
from integration.traces import Ground

pytestmark = pytest.mark.core

STUBBORN = """
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>
int main(void) {
    prctl(PR_SET_PDEATHSIG, 0);
    for (int one = 1; one < 65; one++) signal(one, SIG_IGN);
    if (fork() == 0) { setsid(); for (;;) pause(); }
    write(1, "up\\n", 3);
    for (;;) pause();
}
"""


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def members(pid: int) -> set[int]:
    """Return the processes in the PID namespace of ``pid``."""
    space = Path(f"/proc/{pid}/ns/pid").readlink()
    found = set()
    for one in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            if one.readlink() == space:
                found.add(int(one.parts[2]))
        except OSError:
            continue
    return found


def test_with_its_monitor_the_whole_container_dies_and_all_is_free_at_once(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "net1")
    words = ("run", "-d", "--name", "one", "--net", "net1", "-p", "8080:80", image)
    minirt(*words, "sleep", "1000")
    minirt("run", "-d", "--name", "two", "--net", "net1", image, "sleep", "1000")
    address = minirt("exec", "two", "getent", "hosts", "one", code=None).stdout
    pids = state_of(minirt, "one")
    os.kill(pids["monitor"], signal.SIGKILL)
    wait_until(lambda: not is_there(pids["pid"]), "the death of init")
    shown = "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.Pid}}"
    assert minirt("inspect", "-f", shown, "one").stdout == "exited 137 false 0\n"
    assert "Exited (137)" in minirt("ps", "-a").stdout
    assert minirt("exec", "two", "nslookup", "one", code=1), address
    (network,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert [one["Name"] for one in network["Containers"].values()] == ["two"]
    # The port belongs to who comes first, the address to one of the next; the name to who has it.
    third = ("run", "-d", "--name", "three", "--net", "net1", "-p", "8080:80", image)
    minirt(*third, "sleep", "1000")
    minirt("run", "-d", "--name", "four", "--net", "net1", image, "sleep", "1000")
    template = "{{.NetworkSettings.Networks.net1.IPAddress}}"
    got = [minirt("inspect", "-f", template, name).stdout for name in ("three", "four")]
    freed = next((one for one in got if one.endswith(".2\n")), "")
    assert freed, got
    minirt("start", "one", code=1)  # its port is taken
    minirt("rm", "-f", "three", "four")
    minirt("start", "one")
    assert minirt("inspect", "-f", template, "one").stdout == freed


@pytest.mark.parametrize("user", ["0", "www"])
def test_a_container_cannot_outlive_its_monitor(
    minirt: Minirt, image: str, ground: Ground, tmp_path: Path, user: str
) -> None:
    """It clears the signal that it would get (PR_SET_PDEATHSIG), ignores all others, and hides."""
    source = tmp_path / "stubborn.c"
    source.write_text(STUBBORN)
    compiled(source, tmp_path)
    tmp_path.chmod(0o755)
    words = ("run", "-d", "--name", "one", "--rm", "-u", user, "-v", f"{tmp_path}:/x:ro", image)
    minirt(*words, "/x/stubborn")
    wait_until(lambda: minirt("logs", "one").stdout == "up\n", "the program")
    pids = state_of(minirt, "one")
    inside = members(pids["pid"])
    assert len(inside) == 2
    os.kill(pids["monitor"], signal.SIGKILL)
    wait_until(lambda: not any(is_there(pid) for pid in inside), "the end of all")
    assert minirt("ps", "-aq").stdout == ""
    minirt("run", "--rm", "--name", "one", image, "true")
    assert not list((ground.root / "containers").iterdir())


def test_run_says_so_when_the_monitor_is_killed(minirt: Minirt, image: str, ground: Ground) -> None:
    words = minirt_words("run", "--name", "one", image, "sh", "-c", "echo up; sleep 1000")
    with started(*words) as run:
        assert run.stdout and run.stdout.readline() == "up\n"
        os.kill(monitor_of(minirt, "one"), signal.SIGKILL)
        assert run.wait(10) == 137
    assert minirt("wait", "one").stdout == "137\n"


@pytest.mark.in_process  # It looks at the processes of its commands.
def test_without_its_run_the_container_goes_on(minirt: Minirt, image: str) -> None:
    script = "trap 'echo bye; exit 6' TERM; echo up; while :; do sleep 0.05; done"
    words = minirt_words("run", "--rm", "--name", "one", image, "sh", "-c", script)
    with started(*words) as run:
        assert run.stdout and run.stdout.readline() == "up\n"
        run.kill()
    assert minirt("exec", "one", "echo", "alive").stdout == "alive\n"
    assert minirt("logs", "one").stdout == "up\n"
    with started(*minirt_words("attach", "one")) as attached:
        with started(*minirt_words("wait", "one")) as waiting:
            wait_until(lambda: waits_in_poll(waiting.pid) and waits_in_poll(attached.pid))
            minirt("stop", "one")
            assert waiting.wait(10) == 0
            assert waiting.stdout and waiting.stdout.read() == "6\n"
        assert attached.wait(10) == 6
        assert attached.stdout and attached.stdout.read() == "bye\n"
    assert minirt("ps", "-aq").stdout == ""


def waits_in_poll(pid: int) -> bool:
    """Say whether a process has come so far that it waits for something (proc_pid_syscall(5))."""
    return Path(f"/proc/{pid}/wchan").read_text() in (
        "do_poll",
        "do_sys_poll",
        "poll_schedule_timeout.constprop.0",
    )


def test_init_killed_from_outside_is_an_ordinary_end(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    words = ("run", "--rm", "--name", "one", "-p", "8080:80", image)
    with started(*minirt_words(*words, "sh", "-c", "echo up; sleep 1000")) as run:
        assert run.stdout and run.stdout.readline() == "up\n"
        os.kill(pid_of(minirt, "one"), signal.SIGKILL)
        assert run.wait(10) == 137
    assert not list((ground.root / "containers").iterdir())
    minirt(*words, "true")


def test_a_fork_bomb_is_removed_with_its_last_process(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    bomb = "f() { setsid sh -c 'while :; do sleep 0.01 & done' & f; }; echo up; (f) 2>&- & "
    bomb += "exec sleep 1000"
    words = ("run", "-d", "--name", "one", "--pids-limit", "60", image, "sh", "-c", bomb)
    minirt(*words)
    wait_until(lambda: "up" in minirt("logs", "one").stdout, "the start")
    pids = state_of(minirt, "one")
    inside = members(pids["pid"])
    minirt("rm", "-f", "one")
    assert not any(is_there(pid) for pid in inside | {pids["pid"]})
    assert not minirt("ps", "-aq").stdout
    wait_until(lambda: not is_there(pids["monitor"]), "the monitor's end, after the answer")
