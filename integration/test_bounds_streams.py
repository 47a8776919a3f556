"""Streams that one side does not read: the other side waits, and no process in between grows."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.peaks import all_stay_small
from integration.sandbox import minirt_words, started, wait_until
from minirt.container import protocol, record
from minirt.container.lifecycle import find

pytestmark = pytest.mark.core

MUCH = 400_000_000  # bytes
SOME = 64 << 20  # bytes: more than all queues and buffers on the way together
QUIET = ("--net", "none", "--name", "one")


@contextlib.contextmanager
def zeros(count: int) -> Iterator[int]:
    """Return a pipe from which so many zeros can be read."""
    with started("head", "-c", count, "/dev/zero") as source:
        assert source.stdout
        yield source.stdout.fileno()


@contextlib.contextmanager
def attached(name: str, *, stdin: bool, output: bool) -> Iterator[socket.socket]:
    """Keep a connection to the monitor, as the command "attach" has it."""
    with contextlib.closing(protocol.connect(record.run_directory(find(name).id))) as line:
        protocol.tell(line, {"do": "attach", "stdin": stdin, "output": output})
        protocol.hear_json(line)
        yield line


def sent(line: socket.socket) -> int:
    """Send input until the monitor has taken none for a second; return how many bytes it took."""
    line.settimeout(1)
    packet, count = protocol.STDIN + b"x" * protocol.CHUNK, 0
    with contextlib.suppress(TimeoutError):
        while count < SOME:
            count += line.send(packet)
    return count


def test_input_that_a_new_container_does_not_read(minirt: Minirt, image: str) -> None:
    with all_stay_small(), zeros(MUCH) as source:
        words = minirt_words("run", "-i", *QUIET, image, "sleep", "3")
        subprocess.run(words, stdin=source, check=True, timeout=120)


def test_input_that_is_read_late_arrives_whole(minirt: Minirt, image: str) -> None:
    with all_stay_small(), zeros(MUCH // 4) as source:
        script = "sleep 2; wc -c"
        words = minirt_words("run", "-i", *QUIET, image, "sh", "-c", script)
        with started(*words, stdin=source) as run:
            assert run.communicate(timeout=60)[0] == f"{MUCH // 4}\n"


@pytest.mark.parametrize("verb", ["attach", "exec"])
def test_input_that_a_running_container_does_not_read(
    minirt: Minirt, image: str, verb: str
) -> None:
    minirt("run", "-d", "-i", *QUIET, image, "sleep", "1000")
    words = ("attach", "one") if verb == "attach" else ("exec", "-i", "one", "sleep", "3")
    with (
        all_stay_small(),
        zeros(MUCH) as source,
        started(*minirt_words(*words), stdin=source) as client,
    ):
        if verb == "attach":
            with attached("one", stdin=True, output=False) as line:
                sent(line)
            assert client.poll() is None
            minirt("kill", "one")
        assert client.wait(30) == (137 if verb == "attach" else 0)


@pytest.mark.parametrize("flags", [("-i",), ("-i", "-t")], ids=" ".join)
def test_the_monitor_stops_reading_a_client(
    minirt: Minirt, image: str, flags: tuple[str, ...]
) -> None:
    """A terminal is raw here: a cooked one drops what is too long for a line (termios(3))."""
    script = "stty raw 2>/dev/null; echo ready; sleep 1000"
    minirt("run", "-d", *flags, *QUIET, image, "sh", "-c", script)
    wait_until(lambda: "ready" in minirt("logs", "one").stdout)
    with all_stay_small(), attached("one", stdin=True, output=False) as line:
        assert sent(line) < SOME
        assert minirt("exec", "one", "echo", "lives").stdout == "lives\n"
        with attached("one", stdin=True, output=True):
            minirt("kill", "one")
        minirt("wait", "one")


def test_a_client_that_does_not_read_output(minirt: Minirt, image: str) -> None:
    """The command waits until it does."""
    script = f"read start; head -c {SOME} /dev/zero; touch /over; sleep 1000"
    words = ("-i", "--log-driver", "none", image, "sh", "-c", script)
    minirt("run", "-d", *QUIET, *words)
    with all_stay_small(), attached("one", stdin=True, output=True) as line:
        line.sendall(protocol.STDIN + b"start\n")
        wait_until(lambda: select.select([line], [], [], 0)[0], "output")
        minirt("exec", "one", "test", "-e", "/over", code=1)
        received = 0
        while received < SOME:
            kind, piece, _ = protocol.hear(line)
            received += len(piece) if kind == protocol.STDOUT else 0
        assert received == SOME
        wait_until(lambda: not minirt("exec", "one", "test", "-e", "/over", code=None).returncode)


def test_output_is_copied_while_the_command_of_exec_reads_nothing(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """From files and to files, exec copies; it must not wait for one direction alone."""
    minirt("run", "-d", *QUIET, image, "sleep", "1000")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(1 << 20))
    words = minirt_words("exec", "-i", "one", "sh", "-c", "seq 100000; wc -c")
    with source.open() as given, target.open("w") as taken:
        subprocess.run(words, stdin=given, stdout=taken, check=True, timeout=60)
    assert target.read_text().split()[-2:] == ["100000", str(1 << 20)]
