from __future__ import annotations

import errno
import os
import platform
import socket
import time
from pathlib import Path

import pytest

from minirt.kernel import processes, springboard

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code for x86-64")


def jump(path: str, *words: str, **environment: str) -> tuple[int, str, bytes]:
    """Run a command by the springboard; return exit code, output, and what the line has said."""
    read, write = os.pipe()
    hear, line = os.pipe()

    def main() -> int:
        os.dup2(write, 1)
        board = springboard.make(line)
        assert board is not None
        os.execve(board, (path, *words), environment)

    pid = processes.fork(main)
    os.close(write)
    os.close(line)
    with open(read, "rb") as output, open(hear, "rb") as said:
        result = output.read().decode(), said.read()
    return processes.wait(pid), *result


def test_the_command_gets_its_words_and_its_environment_and_the_line_closes() -> None:
    code, output, said = jump("/bin/sh", "name", "-c", 'echo "$0 $1 $A"; exit 5', "x", "y", A="b")
    assert (code, output, said) == (5, "x y b\n", b"")


def test_the_words_may_be_none_of_them_the_path() -> None:
    code, output, _ = jump("/bin/sh", "-sh", "-c", "echo ok")
    assert (code, output) == (0, "ok\n")


def test_the_command_has_no_descriptor_of_it() -> None:
    _, before, _ = jump("/bin/ls", "ls", "/proc/self/fd")
    for fd in (taken := [os.dup(0) for _ in range(3)]):
        os.set_inheritable(fd, False)
    _, after, _ = jump("/bin/ls", "ls", "-l", "/proc/self/fd")
    for fd in taken:
        os.close(fd)
    assert "springboard" not in after
    assert after.count("->") == len(before.split())  # the line would have another number now


@pytest.mark.parametrize(
    ("path", "code"), [("/no/such/file", errno.ENOENT), ("/etc", errno.EACCES)]
)
def test_a_refusal_is_told_on_the_line(path: str, code: int) -> None:
    status, output, said = jump(path, "x")
    assert (status, output) == (127, "")
    error = springboard.failure(said)
    assert error is not None and error.errno == code


@pytest.mark.parametrize("content", ["#!/proc/self/exe\n", "#!/proc/self/exe x\n"])
def test_proc_self_exe_leads_to_it_and_there_it_ends(tmp_path: Path, content: str) -> None:
    script = tmp_path / "script"
    script.write_text(content)
    script.chmod(0o755)
    assert jump(str(script), "script") == (127, "", b"")


def test_its_file_cannot_be_written() -> None:
    plain = os.memfd_create("control")
    assert os.write(os.open(f"/proc/self/fd/{plain}", os.O_RDWR), b"x") == 1  # The control.
    os.close(plain)
    hear, line = os.pipe()
    board = springboard.make(line)
    assert board is not None
    again = os.open(f"/proc/self/fd/{board}", os.O_RDWR)
    for action in (
        lambda: os.write(again, b"x"),
        lambda: os.ftruncate(again, 0),
        lambda: os.pwrite(board, b"x", 200),
    ):
        with pytest.raises(PermissionError):
            action()
    for fd in (hear, line, board, again):
        os.close(fd)


def test_other_packets_are_not_its_words() -> None:
    assert springboard.failure(b'["MinirtError"]') is None
    assert springboard.failure(b"") is None


def waiting(path: str, *words: str) -> tuple[int, socket.socket, int]:
    """Start the springboard that waits for a word; return its PID, our end, and its output."""
    read, write = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def main() -> int:
        ours.close()
        os.dup2(write, 1)
        board = springboard.make(theirs.fileno(), waits=True)
        assert board is not None
        os.execve(board, (path, *words), {})

    pid = processes.fork(main)
    os.close(write)
    theirs.close()
    return pid, ours, read


def is_springboard(pid: int) -> bool:
    return "springboard" in str(Path(f"/proc/{pid}/exe").readlink())


def test_it_waits_for_the_word() -> None:
    pid, line, output = waiting("/bin/echo", "echo", "hello")
    while not is_springboard(pid):
        time.sleep(0.001)
    with line, open(output, "rb") as printed:
        os.set_blocking(output, False)
        assert printed.read() is None  # It is there, and silent.
        os.set_blocking(output, True)
        line.send(b"go")
        assert printed.read() == b"hello\n"
        assert line.recv(64) == b""
    assert processes.wait(pid) == 0


def test_while_it_waits_its_descriptors_are_roots() -> None:
    """They would be the user's if it were dumpable (proc(5))."""
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def main() -> int:
        ours.close()
        board = springboard.make(theirs.fileno(), waits=True)
        assert board is not None
        os.setresuid(1234, 1234, 1234)
        os.execve(board, ("/bin/true", "true"), {})

    pid = processes.fork(main)
    theirs.close()
    while not is_springboard(pid):
        time.sleep(0.001)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/fd").stat().st_uid != 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert Path(f"/proc/{pid}/fd").stat().st_uid == 0
    assert Path(f"/proc/{pid}").stat().st_uid == 1234
    ours.close()
    assert processes.wait(pid) == 127


def test_it_leaves_when_nobody_is_there_to_say_it() -> None:
    pid, line, output = waiting("/bin/echo", "echo", "hello")
    line.close()
    with open(output, "rb") as printed:
        assert printed.read() == b""
    assert processes.wait(pid) == 127


def test_one_that_has_waited_tells_a_refusal_too() -> None:
    pid, line, output = waiting("/etc", "x")
    with line:
        line.send(b"go")
        assert springboard.failure(line.recv(64)).errno == errno.EACCES  # type: ignore[union-attr]
    os.close(output)
    assert processes.wait(pid) == 127
