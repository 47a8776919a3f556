"""Enough of D-Bus to talk to systemd over its own socket, or over the bus to others: no library.

    fixed part    endianness, type, flags, version, length of the body, serial
    fields        an array of (code, variant), then padding to 8
    body          values in the form that the signature says, each aligned to its size

Source: D-Bus Specification, "Type System", "Message Protocol", "Authentication Protocol".
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import Any

_NUMBERS = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_NUMBERS |= {"b": "I", "h": "I"}
_ALIGNED = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}  # or 4
_HEADER = "yyyyuua(yv)"
_CALL, _REPLY, _ERROR, _SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_TO, _TO, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_NO_AUTO_START = 2  # nobody is started only to be asked
_FIXED = 16  # bytes, up to and with the length of the array of fields
_PATIENCE = 30.0  # seconds, as runc's for a job of systemd's
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"


class Refused(Exception):
    """The other side's error: its name, and what it says."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name, self.text = name, text


class Connection:
    """A connection to one peer, as this process's user."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        self._serial = 0
        self._unheard: list[tuple[str, list[Any]]] = []
        try:
            self._socket.connect(path)
            self._introduce_oneself()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_reason: object) -> None:
        self._socket.close()

    def call(
        self, path: str, interface: str, member: str, signature: str, *body: Any, to: str = ""
    ) -> list[Any]:
        """Call a method, on a bus that of the peer ``to``; return what it returns.

        Raises Refused, OSError.
        """
        self._serial += 1
        fields = [(_PATH, ("o", path)), (_INTERFACE, ("s", interface)), (_MEMBER, ("s", member))]
        fields += [(_TO, ("s", to))] if to else []
        fields += [(_SIGNATURE, ("g", signature))] if signature else []
        packed = pack(signature, *body)
        start = (ord("l"), _CALL, _NO_AUTO_START, 1)
        message = bytearray(pack(_HEADER, *start, len(packed), self._serial, fields))
        message += bytes(-len(message) % 8) + packed
        self._socket.sendall(message)
        while True:
            kind, about, values = self._receive()
            if kind == _SIGNAL:
                self._unheard.append((about[_MEMBER], values))
            elif about.get(_REPLY_TO) != self._serial:
                continue
            elif kind == _ERROR:
                raise Refused(about[_ERROR_NAME], str(values[0]) if values else "")
            else:
                return values

    def has_peer(self, name: str) -> bool:
        """Say whether somebody on this bus has the name."""
        return bool(self.call(_BUS_PATH, _BUS, "NameHasOwner", "s", name, to=_BUS)[0])

    def signals(self, member: str) -> Iterator[list[Any]]:
        """Return what signals of this name say, those first that came meanwhile."""
        while True:
            while self._unheard:
                name, values = self._unheard.pop(0)
                if name == member:
                    yield values
            kind, about, values = self._receive()
            if kind == _SIGNAL:
                self._unheard.append((about[_MEMBER], values))

    def _introduce_oneself(self) -> None:
        """Say who one is; the kernel vouches for it (SO_PEERCRED of unix(7)).

        BEGIN goes along in the same piece: a call that arrived together with it would wait in
        systemd's buffer until something else came.
        """
        user = str(os.geteuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {user}\r\nBEGIN\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            answer += self._exactly(1)
        if not answer.startswith(b"OK "):
            raise PermissionError(13, answer.decode(errors="replace").strip())

    def _receive(self) -> tuple[int, dict[int, Any], list[Any]]:
        """Return the next message: its kind, its fields, its body."""
        start = self._exactly(_FIXED)
        length, fields = struct.unpack_from("<4xI4xI", start)
        head = start + self._exactly(fields + -fields % 8)
        kind, about = unpack(_HEADER, head)[1], dict(unpack(_HEADER, head)[6])
        body = self._exactly(length)
        return kind, about, unpack(about.get(_SIGNATURE, ""), body)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._socket.recv(size - len(found))
            if not piece:
                raise ConnectionResetError(104, "the other side has hung up")
            found += piece
        return found


def system_bus() -> Connection:
    """Connect to the bus of the system. Raises OSError (FileNotFoundError: there is none)."""
    given = re.search(r"unix:path=([^,;]+)", os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", ""))
    bus = Connection(given[1] if given else "/run/dbus/system_bus_socket")
    bus.call(_BUS_PATH, _BUS, "Hello", "", to=_BUS)  # the first word on any bus
    return bus


def pack(signature: str, *values: Any) -> bytes:
    """Write values in the form that the signature says; a variant is (signature, value)."""
    out = bytearray()
    for kind, value in zip(_types(signature), values, strict=True):
        _put(out, kind, value)
    return bytes(out)


def unpack(signature: str, data: bytes) -> list[Any]:
    """Read values; what is in a variant comes without its signature."""
    found, at = [], 0
    for kind in _types(signature):
        value, at = _take(data, at, kind)
        found.append(value)
    return found


def _types(signature: str) -> Iterator[str]:
    """Cut a signature into its complete types."""
    at = 0
    while at < len(signature):
        end = at
        while signature[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[end], 0)
            end += 1
            if not depth:
                break
        yield signature[at:end]
        at = end


def _padding(at: int, kind: str) -> int:
    return -at % _ALIGNED.get(kind[0], 4)


def _put(out: bytearray, kind: str, value: Any) -> None:
    out += bytes(_padding(len(out), kind))
    if kind in _NUMBERS:
        out += struct.pack(f"<{_NUMBERS[kind]}", value)
    elif kind in "sog":
        text = value.encode()
        out += struct.pack("<B" if kind == "g" else "<I", len(text)) + text + b"\0"
    elif kind == "v":
        _put(out, "g", value[0])
        _put(out, value[0], value[1])
    elif kind[0] in "({":
        for inner, one in zip(_types(kind[1:-1]), value, strict=True):
            _put(out, inner, one)
    else:
        place = len(out)
        out += bytes(4)
        out += bytes(_padding(len(out), kind[1]))
        start = len(out)
        for one in value:
            _put(out, kind[1:], one)
        struct.pack_into("<I", out, place, len(out) - start)


def _take(data: bytes, at: int, kind: str) -> tuple[Any, int]:
    """Read a value; return it, and where the next one begins."""
    at += _padding(at, kind)
    if kind in _NUMBERS:
        form = f"<{_NUMBERS[kind]}"
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind in "sog":
        size = 1 if kind == "g" else 4
        start = at + size
        end = start + int.from_bytes(data[at:start], "little")
        return data[start:end].decode(errors="replace"), end + 1
    if kind == "v":
        inner, at = _take(data, at, "g")
        return _take(data, at, inner)
    found = []
    if kind[0] in "({":
        for inner in _types(kind[1:-1]):
            value, at = _take(data, at, inner)
            found.append(value)
        return tuple(found), at
    end = int.from_bytes(data[at : at + 4], "little")
    at += 4
    at += _padding(at, kind[1])
    end += at
    while at < end:
        value, at = _take(data, at, kind[1:])
        found.append(value)
    return found, at
