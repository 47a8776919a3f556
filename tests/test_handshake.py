from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minirt import errors
from minirt.errors import CommandNotFound, Conflict, MinirtError
from minirt.kernel import processes, springboard
from minirt.runtime import handshake
from minirt.runtime.handshake import GO, PREPARED, READY, CreatorDied, Interrupted, Line, Patience

ABANDONED = 3


def fork_init(body: Callable[[Line], int]) -> tuple[int, Line]:
    ours, theirs = handshake.open_pair()

    def main() -> int:
        ours.close()
        return body(theirs)

    pid = processes.fork(main)
    theirs.close()
    return pid, ours


def test_an_init_that_runs_says_nothing_more_and_hands_over_its_console() -> None:
    def body(line: Line) -> int:
        read, write = os.pipe()
        os.write(write, b"from the console")
        line.say(PREPARED, read)
        line.await_word(GO)
        return 0

    pid, line = fork_init(body)
    (console,) = line.hear(PREPARED)
    assert not os.get_inheritable(console)
    assert os.read(console, 100) == b"from the console"
    line.go()
    assert processes.wait(pid) == 0
    os.close(console)
    line.close()


def test_an_init_whose_creator_dies_leaves() -> None:
    def body(line: Line) -> int:
        line.say(PREPARED)
        try:
            line.await_word(GO)
        except CreatorDied:
            return ABANDONED
        return 0

    pid, line = fork_init(body)
    line.hear(PREPARED)
    line.close()  # What the kernel does for a creator that was killed.
    assert processes.wait(pid) == ABANDONED


@pytest.mark.parametrize("is_prepared", [False, True])
def test_an_error_of_init_is_raised_at_its_creator(is_prepared: bool) -> None:
    def body(line: Line) -> int:
        if is_prepared:
            line.say(PREPARED)
        line.report(CommandNotFound("Cannot run it"))
        return 0

    def listen(line: Line) -> None:
        line.hear(PREPARED)
        line.go()

    pid, line = fork_init(body)
    with pytest.raises(CommandNotFound, match="Cannot run it"):
        listen(line)
    processes.wait(pid)
    line.close()


def test_an_init_that_crashes_silently_is_noticed() -> None:
    pid, line = fork_init(lambda line: 0)
    with pytest.raises(MinirtError, match="died without a word"):
        line.hear(PREPARED)
    processes.wait(pid)
    line.close()


def test_a_refusal_by_execve_is_an_error_of_the_system() -> None:
    def body(line: Line) -> int:
        line.say(b"\x08\0\0\0")  # ENOEXEC, as the springboard says it
        return 0

    pid, line = fork_init(body)
    with pytest.raises(OSError, match="Exec format error"):
        line.go()
    processes.wait(pid)
    line.close()


def test_descriptors_that_nobody_asked_for_are_closed_and_none_is_inherited() -> None:
    """Packets come from a process that has read what strangers wrote."""
    ours, theirs = handshake.open_pair()
    gc.collect()  # What others have left open is not to be closed meanwhile.
    before = len(list(Path("/proc/self/fd").iterdir()))
    theirs.say(b"something else", 0, 1, 2)
    with pytest.raises(MinirtError, match="makes no sense"):
        ours.hear(PREPARED)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    theirs.say(PREPARED, *[0] * 200)  # as many as a packet can bear, and more than anybody wants
    taken = ours.hear(PREPARED)
    assert not any(os.get_inheritable(fd) for fd in taken)
    assert len(list(Path("/proc/self/fd").iterdir())) == before + len(taken) > before
    for fd in taken:
        os.close(fd)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    ours.close()
    theirs.close()


def test_nothing_is_believed_of_a_process_that_is_ready() -> None:
    """From "ready" on, others in the container may say what they like in its name."""
    ours, theirs = handshake.open_pair()
    with Path("/dev/null").open("rb") as file:
        theirs.say(READY)
        theirs.say(errors.pack(CommandNotFound("FORGED")), *[file.fileno()] * 5)
        before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with pytest.raises(MinirtError) as raised:
            ours.go()
        assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert "FORGED" not in str(raised.value) and not isinstance(raised.value, CommandNotFound)
    ours.close()
    theirs.close()


def test_an_error_of_execve_is_believed_of_a_process_that_is_ready() -> None:
    ours, theirs = handshake.open_pair()
    theirs.say(READY)
    theirs.say(springboard.packed(OSError(errno.ENOEXEC, "")))
    with pytest.raises(OSError) as raised:
        ours.go()
    assert raised.value.errno == errno.ENOEXEC
    ours.close()
    theirs.close()


def test_a_process_that_is_ready_runs_when_its_end_is_closed() -> None:
    ours, theirs = handshake.open_pair()
    theirs.say(READY)
    with pytest.raises(Conflict, match="within 0 seconds"):
        ours.go(patience=Patience(0, lambda: False))  # execve has not closed its end yet.
    assert theirs.await_word(GO) == GO
    theirs.say(READY)
    happened: list[bytes] = []

    def run() -> None:
        happened.append(theirs.await_word(GO))
        theirs.close()

    ours.go(run)
    assert happened == [GO]
    ours.close()


def test_a_creator_that_is_told_to_end_does_not_wait() -> None:
    ours, theirs = handshake.open_pair()
    asked: list[bool] = []

    def is_interrupted() -> bool:
        asked.append(True)
        return len(asked) == 2

    with pytest.raises(Interrupted):
        ours.hear(PREPARED, Patience(1000, is_interrupted))
    theirs.say(PREPARED)
    assert ours.hear(PREPARED, Patience(1000, lambda: True)) == []  # What has come counts.
    with pytest.raises(Conflict, match="within 0 seconds"):
        ours.hear(PREPARED, Patience(0, lambda: False))
    ours.close()
    theirs.close()
