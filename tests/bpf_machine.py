"""A machine for classic BPF, to ask compiled filters what they decide."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

_LOAD, _AND, _JUMP, _RETURN, _EQUAL, _GREATER, _GREATER_OR_EQUAL = 32, 84, 5, 6, 21, 37, 53


def run(program: bytes, word: int, number: int, arguments: Sequence[int] = ()) -> int:
    """Return the answer to one system call; fail on what the kernel would refuse to load."""
    six = [*arguments, *[0] * 6][:6]
    data = struct.pack("<IIQ6Q", number, word, 0, *six)
    code = _decoded(program)
    accumulator = place = 0
    while True:
        operation, if_true, if_false, constant = code[place]
        place += 1
        if operation == _RETURN:
            return int(constant)
        if operation == _LOAD:
            assert constant % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif operation == _AND:
            accumulator &= constant
        elif operation == _JUMP:
            place += constant
        else:
            holds = {
                _EQUAL: accumulator == constant,
                _GREATER: accumulator > constant,
                _GREATER_OR_EQUAL: accumulator >= constant,
            }[operation]
            place += if_true if holds else if_false


def run_all(
    programs: Sequence[bytes], word: int, number: int, arguments: Sequence[int] = ()
) -> int:
    """Return the answer of several filters: the most restrictive one, of equal ones the last."""
    answers = [run(one, word, number, arguments) for one in reversed(programs)]
    return min(answers, key=_restriction)


def _restriction(answer: int) -> int:
    """Return the order of SECCOMP_RET_*: the kernel compares the actions as signed numbers."""
    action = answer & 0xFFFF_0000
    return action - (1 << 32) if action >> 31 else action


@lru_cache
def _decoded(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))
