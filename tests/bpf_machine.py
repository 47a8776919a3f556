"""A machine for classic BPF, to ask compiled filters what they decide."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

_LOAD, _AND, _JUMP, _RETURN, _EQUAL, _GREATER, _GREATER_OR_EQUAL = 32, 84, 5, 6, 21, 37, 53
_FIRST_ARGUMENT = 16  # its place in struct seccomp_data


def run(program: bytes, word: int, number: int, arguments: Sequence[int] = ()) -> int:
    """Return the answer to one system call; fail on what the kernel would refuse to load."""
    return run_and_watch(program, word, number, arguments)[0]


def run_and_watch(
    program: bytes, word: int, number: int, arguments: Sequence[int] = ()
) -> tuple[int, bool]:
    """Return the answer, and whether the program has looked at an argument on its way there."""
    data = [number, word, 0, 0]
    for one in [*arguments, *[0] * 6][:6]:
        data += (one & 0xFFFF_FFFF, one >> 32)
    code = _decoded(program)
    accumulator = place = 0
    has_looked = False
    while True:
        operation, if_true, if_false, constant = code[place]
        place += 1
        if operation == _EQUAL:
            place += if_true if accumulator == constant else if_false
        elif operation == _GREATER_OR_EQUAL:
            place += if_true if accumulator >= constant else if_false
        elif operation == _GREATER:
            place += if_true if accumulator > constant else if_false
        elif operation == _LOAD:
            assert constant % 4 == 0
            accumulator = data[constant // 4]
            has_looked |= constant >= _FIRST_ARGUMENT
        elif operation == _AND:
            accumulator &= constant
        elif operation == _JUMP:
            place += constant
        else:
            assert operation == _RETURN
            return constant, has_looked


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
