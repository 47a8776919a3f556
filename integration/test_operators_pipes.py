"""No pipe of the operator's is handed to a container.

Whoever holds one end of a pipe can open the other end: /proc/self/fd/0 for writing, and
/proc/self/fd/1 for reading. A shell often gives the same pipe to several commands in turn.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from integration.conftest import Minirt
from integration.sandbox import minirt_words
from minirt.kernel import descriptors

NONE = ("--net", "none")
# Writes a line into its standard input, without waiting for room or for a reader.
INJECT = "echo injected 1<> /proc/self/fd/0"
# Reads a line of its standard output, for half a second.
STEAL = "head -n 1 < /proc/self/fd/1 >&2 & sleep 0.5; kill $! 2> /dev/null; exit 0"


def left_in(reader: int) -> bytes:
    """Return what is in a pipe that nobody else reads."""
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 4096)
    except BlockingIOError:
        return b""


def injected(*words: str) -> bytes:
    """Run a command with a pipe as its input; return what the next reader finds there."""
    reader, writer = os.pipe()
    os.write(writer, b"of the operator\n")
    process = subprocess.Popen(words, stdin=reader, stdout=subprocess.DEVNULL)
    assert process.wait(30) == 0
    found = left_in(reader)
    descriptors.close([reader, writer])
    return found


def stolen(*words: str) -> tuple[bytes, bytes]:
    """Run a command with a pipe as its output, in which there is something of another command.

    Return what the command has read of that, and what the reader of the pipe finds.
    """
    reader, writer = os.pipe()
    os.write(writer, b"secret\n")
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, check=True
    )
    found = left_in(reader)
    descriptors.close([reader, writer])
    return done.stderr, found


def test_who_holds_one_end_of_a_pipe_has_both() -> None:
    """The control: a command of the host, which gets the operator's pipe."""
    assert b"injected" in injected("sh", "-c", INJECT)
    assert stolen("sh", "-c", STEAL) == (b"secret\n", b"")


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_nothing_is_written_into_the_operators_input(minirt: Minirt, image: str, verb: str) -> None:
    minirt("run", "-d", "--name", "one", *NONE, image, "sleep", "1000")
    words = ("exec", "-i", "one") if verb == "exec" else ("run", "--rm", "-i", *NONE, image)
    assert b"injected" not in injected(*minirt_words(*words, "sh", "-c", INJECT))


@pytest.mark.parametrize("driver", ["json-file", "none"])
def test_nothing_is_read_of_the_operators_output(image: str, driver: str) -> None:
    words = minirt_words("run", "--rm", *NONE, "--log-driver", driver, image, "sh", "-c", STEAL)
    assert stolen(*words) == (b"", b"secret\n")


def test_exec_reads_nothing_of_the_operators_output(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", *NONE, image, "sleep", "1000")
    assert stolen(*minirt_words("exec", "one", "sh", "-c", STEAL)) == (b"", b"secret\n")


def test_start_a_reads_nothing_of_the_operators_output(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "one", *NONE, "--log-driver", "none", image, "sh", "-c", STEAL)
    assert stolen(*minirt_words("start", "-a", "one")) == (b"", b"secret\n")


def test_both_outputs_keep_their_order_where_they_are_one_pipe(image: str) -> None:
    script = "for i in $(seq 50); do echo $i; echo $i >&2; done"
    words = minirt_words("run", "--rm", *NONE, "--log-driver", "none", image, "sh", "-c", script)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    assert done.stdout.split() == [str(i).encode() for i in range(1, 51) for _ in (1, 2)]


def test_what_is_left_running_does_not_delay_the_end(minirt: Minirt, image: str) -> None:
    """With the PID namespace of another container somebody may live on, and hold the output."""
    minirt("run", "-d", "--name", "other", *NONE, image, "sleep", "1000")
    words = ("--pid", "container:other", "--log-driver", "none", image)
    script = "sleep 1000 & echo said; exit 3"
    assert minirt("run", "--rm", *NONE, *words, "sh", "-c", script, code=3).stdout == "said\n"
