"""A netlink socket: a request goes in, its answers or its error come out (netlink(7))."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns
from minirt.kernel.nlmsg import ACK, DUMP, HEADER, attributes, send

_ACK_TLVS, _DUMP_INTERRUPTED = 0x200, 0x10  # flags of an answer: NLM_F_ACK_TLVS, NLM_F_DUMP_INTR
_TRIES = 100
_PATIENCE = 2.0  # seconds, after which a dump is not asked for again
_ERROR, _DONE = 2, 3  # message types: NLMSG_ERROR, NLMSG_DONE
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG: the kernel's own words, since Linux 4.12
CREATE = 0x600  # NLM_F_CREATE | NLM_F_EXCL: make it, unless it exists

# include/uapi/linux/netlink.h; the socket module has no names for them.
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT_CHECK = 270, 10, 11, 12
_SIOCGSKNS = 0x894C  # include/uapi/linux/sockios.h: the network namespace of a socket
_BUFFER = 1 << 18  # bytes; a dump's pieces are at most 32 kB each

# struct ifreq of netdevice(7): a name, and here a number of the union.
_IFREQ = struct.Struct("16si20x")


class Channel:
    """It speaks for the network namespace in which it was opened, wherever its owner goes."""

    def __init__(self) -> None:
        self._socket = _open()
        self._sequence = 0
        self._interrupted = False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, message: bytes, kind: int, flags: int = 0) -> None:
        """Send a request that changes something. Raises OSError in the kernel's words."""
        self._send(message, kind, flags | ACK)
        for _ in self._answers():
            pass

    def get(self, message: bytes, kind: int) -> bytes:
        """Ask for one thing. Raises OSError, ENODEV where there is no such link."""
        self._send(message, kind, ACK)
        (answer,) = self._answers()
        return answer

    def look(self, name: str, what: int) -> int:
        """Ask for one number of a link, by an ioctl of netdevice(7): any socket takes these.

        Raises OSError: ENODEV.
        """
        request = _IFREQ.pack(name.encode(), 0)
        _, number = _IFREQ.unpack(fcntl.ioctl(self._socket, what, request))
        return int(number)

    def dump(
        self,
        message: bytes,
        kind: int,
        *,
        most: int | None = None,
        keep: Callable[[bytes], bool] | None = None,
    ) -> list[bytes]:
        """Ask for all that there is of a kind; the message may narrow it.

        ``keep`` says which answers are returned, ``most`` how many of them: whoever has a namespace
        may have made any number of what is asked for. A list that changed while it was told may
        lack what is there: it is asked for again, but not for ever.
        """
        deadline = time.monotonic() + _PATIENCE
        for _ in range(_TRIES):
            self._interrupted = False
            self._send(message, kind, DUMP)
            found: list[bytes] = []
            for answer in self._answers():
                if keep is None or keep(answer):
                    if len(found) == most:
                        self._open_again()
                        return found
                    found.append(answer)
            if not self._interrupted or time.monotonic() > deadline:
                break
        return found

    def _open_again(self) -> None:
        """Give up a dump: to walk on through a long list may take the kernel minutes."""
        there = fcntl.ioctl(self._socket, _SIOCGSKNS)
        self._socket.close()
        try:
            with namespaces.inside(Netns(f"/proc/self/fd/{there}", there)):
                self._socket = _open()
        finally:
            os.close(there)

    def _send(self, message: bytes, kind: int, flags: int) -> None:
        self._sequence += 1
        send(self._socket, kind, flags, message, self._sequence)

    def _answers(self) -> Iterator[bytes]:
        """Yield the answers to the last request, without headers, to its end; raise its error."""
        while True:
            block = self._socket.recv(_BUFFER)
            offset = 0
            while offset < len(block):
                length, kind, flags, sequence, _ = HEADER.unpack_from(block, offset)
                message = block[offset + HEADER.size : offset + length]
                offset += length + 3 & ~3  # NLMSG_ALIGN
                if sequence != self._sequence:
                    continue  # the rest of an answer that nobody read to its end
                self._interrupted |= bool(flags & _DUMP_INTERRUPTED)
                if kind in (_ERROR, _DONE):
                    _raise_if_refused(message, flags)
                    return
                yield message


def _open() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, kind, 0)  # 0: NETLINK_ROUTE
    for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
        made.setsockopt(_SOL_NETLINK, option, 1)
    made.bind((0, 0))
    return made


def _raise_if_refused(message: bytes, flags: int) -> None:
    """Raise OSError for struct nlmsgerr, with the kernel's explanation if it gave one."""
    code = int.from_bytes(message[:4], sys.byteorder, signed=True)
    if code == 0:
        return
    own = attributes(message[4 + HEADER.size :]) if flags & _ACK_TLVS else {}  # after our header
    why = own.get(_ERROR_TEXT, b"").rstrip(b"\0").decode()
    raise OSError(-code, why or os.strerror(-code))
