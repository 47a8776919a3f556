from __future__ import annotations

import errno
import os

import pytest

from minirt.errors import (
    CommandNotFound,
    CommandNotRunnable,
    Conflict,
    MinirtError,
    in_quotes,
    kernel_refused,
    pack,
    say,
    unpack,
)


@pytest.mark.parametrize("kind", [MinirtError, Conflict, CommandNotFound, CommandNotRunnable])
def test_an_error_survives_the_journey_through_a_pipe(kind: type[MinirtError]) -> None:
    there = kind("It broke", "it was old", "Buy a new one.")
    back = unpack(pack(there))
    assert type(back) is kind
    assert str(back) == "It broke: it was old. Buy a new one."


@pytest.mark.parametrize("word", ["x", "\x1b", "\udcff", "\U0001f600"])
def test_an_error_of_any_length_fits_into_one_packet(word: str) -> None:
    packed = pack(MinirtError(word * 200_000, word * 200_000, word * 200_000))
    assert len(packed) < 1 << 16
    assert str(unpack(packed)).startswith(word * 1000)


def test_the_exit_codes_are_those_of_chroot() -> None:
    assert (CommandNotRunnable.exit_code, CommandNotFound.exit_code) == (126, 127)


def test_a_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(errno.EPERM, os.strerror(errno.EPERM), "/proc")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "try sudo" in str(kernel_refused("Cannot mount", error))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "CAP_SYS_ADMIN" in str(kernel_refused("Cannot mount", error))


def test_what_is_said_can_not_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert say("bad \x1b[31mname\r", 5) == 5
    assert capsys.readouterr().err == "minirt: bad \\x1b[31mname\\r\n"


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("/var/lib/minirt/images", "Set MINIRT_ROOT"),
        ("/sys/fs/cgroup/pids/minirt", "the kernel's own"),
        ("/proc/sys/net/ipv4/ip_forward", "the kernel's own"),
        (None, "Set MINIRT_ROOT"),
    ],
)
def test_what_is_read_only_is_either_our_folders_or_the_kernels_own(
    place: str | None, advice: str
) -> None:
    error = OSError(errno.EROFS, "Read-only file system", place)
    assert advice in str(kernel_refused("Cannot write", error))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "'plain'"),
        ("it's", "'it's'"),
        ("a\nminirt: done", "'a\\nminirt: done'"),
        ("\x1b[2J\t", "'\\x1b[2J\\t'"),
    ],
)
def test_quoted_text_is_one_line_in_single_quotes(text: str, shown: str) -> None:
    assert in_quotes(text) == shown
