"""A supervisor of system calls, as a config's listenerPath wants one (seccomp_unotify(2))."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

# include/uapi/linux/seccomp.h
_RECV, _SEND = 0xC050_2100, 0xC018_2101
_CONTINUE = 1
_NOTICE = struct.Struct("<QII" + "iIQ6Q")  # id, pid, flags; struct seccomp_data
_ANSWER = struct.Struct("<QqiI")

Answer = Callable[[int], int]  # the how-manieth call: errno, or 0 to let the kernel make it


class Supervisor:
    """Answers the calls of all containers that come to its socket, in a thread of its own."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.documents: list[dict[str, Any]] = []
        self.calls: list[tuple[int, int]] = []  # listener, number of the call
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._end, self._told = os.pipe()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        os.close(self._told)
        self._thread.join()
        self._socket.close()
        os.close(self._end)

    def _serve(self) -> None:
        listeners: set[int] = set()
        waiting: dict[int, socket.socket] = {}
        while True:
            places = [self._end, self._socket.fileno(), *listeners, *waiting]
            poll = select.poll()
            for fd in places:
                poll.register(fd, select.POLLIN)
            ready = dict(poll.poll())
            # What has been sent before the end is still read.
            if ready.pop(self._end, 0) and not ready:
                for one in listeners:
                    os.close(one)
                return
            for fd, what in ready.items():
                if fd == self._socket.fileno():
                    line = self._socket.accept()[0]
                    waiting[line.fileno()] = line
                elif fd in waiting:
                    listeners |= self._meet(waiting.pop(fd))
                elif what & select.POLLIN:
                    self._decide(fd)
                else:  # All who had the filter are dead.
                    listeners.discard(fd)
                    os.close(fd)

    def _meet(self, line: socket.socket) -> set[int]:
        rights = array.array("i")
        with line:
            message, ancillary, _, _ = line.recvmsg(1 << 16, socket.CMSG_SPACE(8 * rights.itemsize))
        for _level, _kind, data in ancillary:
            rights.frombytes(data)
        if message:
            self.documents.append(json.loads(message))
        return set(rights)

    def _decide(self, listener: int) -> None:
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(listener, _RECV, notice)
        except OSError as error:
            assert error.errno == errno.ENOENT, error  # It was killed meanwhile.
            return
        identifier, _pid, _flags, number, *_ = _NOTICE.unpack(notice)
        self.calls.append((listener, number))
        refused = self._answer(len(self.calls))
        words = (identifier, 0, -refused, 0 if refused else _CONTINUE)
        try:
            fcntl.ioctl(listener, _SEND, _ANSWER.pack(*words))
        except OSError as error:
            # A signal interrupted the call, which is made again: Go's scheduler sends SIGURG.
            assert error.errno == errno.ENOENT, error
