"""Classic BPF, written from its end to its beginning.

Jumps of classic BPF only lead forward (filter.txt of the kernel's Documentation/networking),
so that a program written backwards knows every target when it needs it, and no label has to
be resolved later. A conditional jump reaches 255 instructions; where that is too short,
a plain jump, which reaches any distance, is put in between.
"""

from __future__ import annotations

import struct

_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code, jump if true, if false, constant
_FARTHEST = 255

# include/uapi/linux/bpf_common.h: class | size or operation | mode or source.
_LOAD, _AND, _JUMP, _RETURN = 0x20, 0x54, 0x05, 0x06
EQUAL, GREATER, GREATER_OR_EQUAL = 0x15, 0x25, 0x35


class Backwards:
    """A program under construction. Each method puts one instruction before all others.

    It returns the place of that instruction, to jump to; places grow towards the beginning.
    """

    def __init__(self) -> None:
        self._instructions: list[bytes] = []
        self._returns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._instructions)

    def bytes(self) -> bytes:
        """Return the finished program."""
        return b"".join(reversed(self._instructions))

    def answer(self, value: int) -> int:
        """Return ``value`` from the filter: one such instruction serves all who are near."""
        place = self._returns.get(value)
        if place is None or len(self._instructions) - place > _FARTHEST - 2:
            place = self._returns[value] = self._put(_RETURN, value)
        return place

    def load(self, offset: int) -> int:
        """Load a word of struct seccomp_data."""
        return self._put(_LOAD, offset)

    def keep(self, mask: int) -> int:
        """Clear all but ``mask`` of the loaded word."""
        return self._put(_AND, mask)

    def jump(self, test: int, constant: int, if_true: int, if_false: int) -> int:
        """Compare the loaded word with a constant, and go one way or the other."""
        if_false = self._within_reach(if_false, 1)
        if_true = self._within_reach(if_true, 0)
        here = len(self._instructions) - 1
        return self._put(test, constant, here - if_true, here - if_false)

    def go(self, target: int) -> int:
        """Make the next instruction the one at ``target``, at no cost if it is so already."""
        distance = len(self._instructions) - 1 - target
        return self._put(_JUMP, distance) if distance else target

    def _within_reach(self, target: int, more: int) -> int:
        """Return a place that leads to ``target`` with ``more`` instructions yet to come."""
        if len(self._instructions) - 1 + more - target <= _FARTHEST:
            return target
        return self.go(target)

    def _put(self, code: int, constant: int, true: int = 0, false: int = 0) -> int:
        self._instructions.append(_INSTRUCTION.pack(code, true, false, constant))
        return len(self._instructions) - 1
