"""What an idle container costs the host: memory, wake-ups, and copies of its output."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of
from integration.naming import resolver_pid
from integration.sandbox import minirt_words, shell, started, wait_until
from integration.traces import Ground
from integration.warm import commands_of, servers
from minirt.kernel import descriptors, processes

SLEEPER = ("sleep", "1000")


def private_kib(pid: int) -> int:
    """Return the memory that is nobody else's (smaps_rollup of proc_pid_smaps(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", text, re.MULTILINE)))


def woken(pids: set[int]) -> dict[int, int]:
    """Return how often each of these has been given a processor (/proc/PID/schedstat)."""
    return {pid: int(Path(f"/proc/{pid}/schedstat").read_text().split()[2]) for pid in pids}


def is_quiet(pids: set[int]) -> bool:
    before = woken(pids)
    time.sleep(2)
    return woken(pids) == before


def test_the_monitor_of_a_server_is_small(minirt: Minirt, image: str, ground: Ground) -> None:
    """It shares the server's memory, and has built nothing."""
    minirt("network", "create", "net1")
    minirt("run", "-d", "--name", "one", "--net", "net1", "-p", "8080:80", image, *SLEEPER)
    monitor = monitor_of(minirt, "one")
    assert private_kib(monitor) < 4 << 10


@pytest.mark.in_process
def test_without_a_server_the_same_measure_finds_much(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
    assert private_kib(monitor_of(minirt, "one")) > 4 << 10


def test_the_monitor_gets_all_that_the_command_held(minirt: Minirt, image: str) -> None:
    """More descriptors than go into one packet: two hundred ports, their locks, the streams."""
    ports = ("-p", "9000-9099:9000-9099", "-p", "127.0.0.2:9100-9199:9100-9199")
    minirt("network", "create", "net1")
    minirt("run", "-d", "--name", "one", "--net", "net1", *ports, image, *SLEEPER)
    assert minirt("port", "one").stdout.count("->") >= 200
    busy = minirt("run", "--rm", "-p", "127.0.0.2:9150:80", image, "true", code=125)
    assert "9150" in busy.stderr
    minirt("rm", "-f", "one")
    minirt("run", "--rm", "-p", "127.0.0.2:9150:80", image, "true")


def test_a_killed_monitor_is_the_end_of_its_container(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    command = ("sh", "-c", "echo ready; sleep 1000")
    with started(*minirt_words("run", "--name", "one", image, *command)) as run:
        assert run.stdout and run.stdout.readline() == "ready\n"
        monitor = monitor_of(minirt, "one")
        pidfd = processes.open_pidfd(monitor)
        subprocess.run(["kill", "-KILL", str(monitor)], check=True)
        assert processes.wait_until_dead(pidfd, 10)
        assert run.wait(10) == 137
    assert "Exited (137)" in minirt("ps", "-a").stdout


@pytest.mark.slow
def test_nobody_is_woken_up_while_nothing_happens(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """Neither the server nor the resolver nor a monitor looks at anything from time to time."""
    minirt("network", "create", "net1")
    for number in range(10):
        minirt("run", "-d", "--name", f"idle{number}", "--net", "net1", image, *SLEEPER)
    idle = {monitor_of(minirt, f"idle{number}") for number in range(10)}
    idle |= {*servers(ground.run), resolver_pid("net1")}
    assert len(idle) == 12
    wait_until(lambda: is_quiet(idle), "the birth of who is ready", seconds=30)
    for server in servers(ground.run):
        wait_until(lambda pid=server: not commands_of(pid), "the end of who was ready")  # type: ignore[misc]
    wait_until(lambda: is_quiet(idle), "the end of what starting has set off", seconds=30)
    with started(sys.executable, "-c", "import time\nwhile True: time.sleep(0.1)") as control:
        before, restless = woken(idle), woken({control.pid})
        time.sleep(10)
        assert woken(idle) == before
        assert woken({control.pid})[control.pid] > restless[control.pid] + 20


def test_what_is_there_is_not_made_again(minirt: Minirt, image: str) -> None:
    """A start looks whether its network is whole, and changes nothing if it is."""
    minirt("network", "create", "net1")
    words = ("--explain", "run", "--rm", "--net", "net1", image, "true")
    minirt(*words)
    titles = {"admit the network", "keep the gateway's address", "load the packet filter"}
    told = minirt(*words).stderr
    assert "tie the port to its addresses" in told
    assert not [title for title in titles if title in told]
    shell("nft", "delete", "table", "inet", "minirt")
    told = minirt(*words).stderr
    assert [title for title in titles if title in told]


def test_a_start_on_a_network_does_without_libnftables(minirt: Minirt, image: str) -> None:
    """It would make the command write to a quarter more pages (kernel/nft_messages.py)."""
    minirt("network", "create", "--ipv6", "net1")
    words = ["run", "-d", "--net", "net1", image, *SLEEPER]
    program = "import sys; from minirt import cli; from minirt.kernel import nftables; "
    program += "nftables._libnftables = lambda: sys.exit('libnftables was called'); "
    program += f"cli.run({words!r})"
    shell(sys.executable, "-c", program)
    shell("nft", "delete", "table", "inet", "minirt")  # The control: now it is needed.
    assert "was called" in shell(sys.executable, "-c", program, code=1).stderr


@pytest.mark.parametrize(
    ("before", "after"), [(None, 256 << 10), (4096, 4096), (1 << 20, 1 << 20)], ids=str
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_pipe_for_output_gets_more_room_unless_somebody_has_sized_it(
    minirt: Minirt, image: str, verb: str, before: int | None, after: int
) -> None:
    words = ["run", "--rm", "--net", "none", "--log-driver", "none", image, "true"]
    if verb == "exec":
        minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
        words = ["exec", "one", "true"]
    reader, writer = os.pipe()
    if before:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, before)
    subprocess.run(minirt_words(*words), stdout=writer, check=True)
    assert fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) == after
    descriptors.close([reader, writer])


@pytest.mark.parametrize("driver", ["json-file", "none"])
def test_files_and_pipes_are_copied_to(
    minirt: Minirt, image: str, tmp_path: Path, driver: str
) -> None:
    look = ("sh", "-c", "readlink /proc/self/fd/1")
    words = minirt_words("run", "--rm", "--net", "none", "--log-driver", driver, image, *look)
    file = tmp_path / "out"
    with file.open("w") as out:
        subprocess.run(words, stdout=out, check=True)
    assert file.read_text().startswith("pipe:")
    with started("cat", stdin=subprocess.PIPE) as reader:
        assert reader.stdin and reader.stdout
        own = Path(f"/proc/{reader.pid}/fd/0").readlink()
        subprocess.run(words, stdout=reader.stdin, check=True)
        reader.stdin.close()
        line = reader.stdout.read()
    assert line.startswith("pipe:")
    assert line.strip() != str(own)
