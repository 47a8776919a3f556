"""The keys with which a person leaves a container's terminal, ctrl-p ctrl-q if not others."""

from __future__ import annotations

from minirt.container.flags.typed import refused

DEFAULT = b"\x10\x11"


def keys(text: str) -> bytes:
    """Read ``--detach-keys``: letters and ``ctrl-`` letters, by commas. Raises InvalidRequest."""
    found = b""
    for word in text.split(",") if text else []:
        letter = word.removeprefix("ctrl-")
        is_control = word.startswith("ctrl-")
        if len(letter) != 1 or not letter.isascii() or (is_control and letter not in _CONTROLS):
            why = f"Unknown character: '{word}'"
            raise refused("--detach-keys", text, why, "Write it like ctrl-p,ctrl-q or ctrl-x,x.")
        found += bytes([ord(letter) & 0x1F if is_control else ord(letter)])
    return found or DEFAULT


_CONTROLS = "abcdefghijklmnopqrstuvwxyz@[\\]^_"


class Keys:
    """Looks for the keys in what is typed, piece by piece."""

    def __init__(self, sequence: bytes = DEFAULT) -> None:
        self._sequence = sequence
        self._held = b""  # what may be their beginning

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on now, and whether the keys are complete."""
        data = self._held + data
        before, found, _ = data.partition(self._sequence)
        if found:
            return before, True
        longest = min(len(data), len(self._sequence) - 1)
        ends = (n for n in range(longest, 0, -1) if data.endswith(self._sequence[:n]))
        length = next(ends, 0)
        self._held = data[len(data) - length :]
        return data[: len(data) - length], False
