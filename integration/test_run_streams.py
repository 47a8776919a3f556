"""``minirt run`` without a terminal: output, input, descriptors, the log."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import PATIENCE, compiled, minirt_words, shell, started, wait_until
from integration.typist import typing

QUIET = ("run", "--rm", "--net", "none")
LARGE = 3_000_000  # bytes: more than all queues on the way hold


def test_output_and_errors_come_apart_and_whole(minirt: Minirt, image: str) -> None:
    words = "printf out; printf err >&2; printf 'no end'"
    done = minirt(*QUIET, image, "sh", "-c", words)
    assert (done.stdout, done.stderr) == ("outno end", "err")


def test_without_i_the_input_is_empty(minirt: Minirt, image: str) -> None:
    assert minirt(*QUIET, image, "cat", input="not for you").stdout == ""


def test_with_i_all_input_arrives_and_ends(minirt: Minirt, image: str) -> None:
    assert minirt(*QUIET, "-i", image, "cat", input="one\ntwo").stdout == "one\ntwo"
    assert minirt(*QUIET, "-i", image, "cat", input="").stdout == ""


def test_much_goes_both_ways_at_once(image: str, tmp_path: Path) -> None:
    data = os.urandom(LARGE)
    (tmp_path / "in").write_bytes(data)
    words = minirt_words(*QUIET, "-i", "--log-driver", "none", image, "cat")
    with (tmp_path / "in").open("rb") as source:
        from_file = subprocess.run(
            words, stdin=source, capture_output=True, timeout=30 * PATIENCE, check=True
        )
    from_pipe = subprocess.run(
        words, input=data, capture_output=True, timeout=30 * PATIENCE, check=True
    )
    for done in (from_file, from_pipe):
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_command_that_does_not_read_ends_all_the_same(image: str) -> None:
    words = minirt_words(*QUIET, "-i", image, "sh", "-c", "exit 5")
    done = subprocess.run(
        words, input=b"x" * LARGE, capture_output=True, timeout=20 * PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (5, b"")


def test_what_is_left_running_does_not_delay_the_end(minirt: Minirt, image: str) -> None:
    leaving = ("sh", "-c", "sleep 1000 & exit 3")
    assert minirt(*QUIET, image, *leaving, code=3, seconds=10)
    with started(*leaving, start_new_session=True) as control:
        assert control.wait(10) == 3
        with pytest.raises(subprocess.TimeoutExpired):  # Its pipe has no end.
            control.communicate(timeout=1 / PATIENCE)
        os.killpg(control.pid, signal.SIGKILL)


def test_a_reader_that_leaves_ends_run_but_not_the_container(minirt: Minirt, image: str) -> None:
    words = minirt_words("run", "--name", "one", "--net", "none", image, "yes")
    with started(*words) as run:
        assert run.stdout and run.stdout.read(4) == "y\ny\n"
        run.stdout.close()
        assert run.wait(10) == 141  # 128 + SIGPIPE
    assert minirt("ps", "--format", "{{.Names}}").stdout == "one\n"
    with started("yes") as control:  # Who has the reader's own pipe dies with it.
        assert control.stdout and control.stdout.read(4) == "y\ny\n"
        control.stdout.close()
        assert control.wait(10) == -signal.SIGPIPE


def test_a_container_sees_three_descriptors_and_none_of_ours(image: str) -> None:
    line = "exec 9</etc/passwd 10>/dev/null; exec " + " ".join(minirt_words(*QUIET, "IMAGE"))
    listed = "for fd in /proc/self/fd/*; do readlink $fd; done"
    for options in ((), ("-i",)):
        words = [*options, image, "sh", "-c", f"'{listed}; ls /proc/1/fd; true'"]
        seen = shell("bash", "-c", line.replace("IMAGE", " ".join(words))).stdout.split()
        kinds = [one.partition(":")[0] for one in seen]
        assert kinds[:3] == ["pipe" if options else "/dev/null", "pipe", "pipe"]
        assert seen[-3:] == ["0", "1", "2"], seen
        assert not {"/etc/passwd", "socket", "anon_inode"} & set(kinds)


def test_the_log_has_both_streams_unless_told_not_to(minirt: Minirt, image: str) -> None:
    words = ("--net", "none", image, "sh", "-c", "echo out; echo err >&2")
    minirt("run", "--name", "one", *words)
    logged = minirt("logs", "one")
    assert (logged.stdout, logged.stderr) == ("out\n", "err\n")
    shown = minirt("run", "--name", "two", "--log-driver", "none", *words)
    assert (shown.stdout, shown.stderr) == ("out\n", "err\n")
    assert minirt("logs", "two", code=None).stdout == ""


def test_d_prints_the_id_and_leaves_it_running(minirt: Minirt, image: str) -> None:
    made = minirt("run", "-d", "--net", "none", image, "sh", "-c", "echo hello; sleep 100").stdout
    assert len(made) == 65
    wait_until(lambda: minirt("logs", made[:12]).stdout == "hello\n", "the log")
    assert minirt("ps", "-q", "--no-trunc").stdout == made


def legacy_pushing() -> bool:
    """Say whether this kernel still lets programs push characters (dev.tty.legacy_tiocsti)."""
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    return not switch.exists() or switch.read_text().strip() == "1"


def test_nothing_can_be_typed_into_the_operators_terminal(
    image: str, tmp_path: Path, minirt: Minirt
) -> None:
    """attacks.md calls it TIOCSTI: characters pushed into a terminal, for its shell to run."""
    source = tmp_path / "push.c"
    source.write_text(
        "#include <sys/ioctl.h>\n#include <stdio.h>\n#include <fcntl.h>\n#include <string.h>\n"
        '#include <errno.h>\nint main(void) { int tty = open("/dev/tty", O_RDWR);\n'
        "  char *why[4]; for (int fd = 0; fd < 3; fd++)\n"
        '    why[fd] = ioctl(fd, TIOCSTI, "!") ? strerror(errno) : "PUSHED";\n'
        '  printf("%s|%s|%s|%s done\\n", why[0], why[1], why[2], tty < 0 ? "none" : "TTY"); }\n'
    )
    compiled(source, tmp_path)
    if legacy_pushing():  # The control: into a terminal of its own a program may.
        with typing(tmp_path / "push") as person:
            assert "PUSHED|PUSHED|PUSHED" in person.read_until("TTY")
    folder = f"{tmp_path}:/probe:ro"
    minirt("run", "-d", "--name", "one", "--net", "none", "-v", folder, image, "sleep", "100")
    for words in ((*QUIET, "-i", "-v", folder, image), ("exec", "-i", "one")):
        with typing(*minirt_words(*words, "/probe/push")) as person:
            said = person.read_until(" done")
            assert "PUSHED" not in said
            assert said.endswith("|none")
            assert person.wait() == 0
            assert "!" not in person.rest()
