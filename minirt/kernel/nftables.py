"""nftables, through the library of the nft(8) program: no process, one transaction per call.

A program started for each change would take 2 ms to add an element and 16 to delete one:
closing its netlink socket waits for the kernel's clean-up. A context of libnftables that
stays open takes 0.07 for either.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from minirt.kernel import namespaces, nft_messages
from minirt.kernel.namespaces import Netns
from minirt.kernel.steps import step

_TRIES = 1000  # more than there can be others who change something at the same moment
_LIBRARY = "libnftables.so.1"
_HANDLES, _JSON = 1 << 3, 1 << 4  # NFT_CTX_OUTPUT_* of nftables/libnftables.h

# libnftables(3) says only that it failed; the errno of the kernel is found in its words.
_REASONS = {
    os.strerror(code): code
    for code in (
        errno.EINTR,
        errno.EEXIST,
        errno.ENOENT,
        errno.EPERM,
        errno.EBUSY,
        errno.EOPNOTSUPP,
        errno.ENOMEM,
        errno.EAFNOSUPPORT,
        errno.EPROTONOSUPPORT,
        errno.EMFILE,
    )
}


def run(commands: str, title: str = "change the packet filter", netns: Netns | None = None) -> None:
    """Run nft commands, separated by ";" or lines, as one transaction: all or none.

    Raises FileExistsError, FileNotFoundError or another OSError, with nft's words.
    """
    enter = () if netns is None else ("nsenter", f"--net={netns.path}")
    with step(title, *enter, "nft", commands):
        if netns is None:
            _own_context().run(commands)
            return
        with namespaces.inside(netns):
            context = _Context()
        try:
            context.run(commands)
        finally:
            context.free()


def load(path: Path) -> None:
    """Run the nft commands of a file, as one transaction."""
    with step("load the packet filter", "nft", "-f", path):
        _own_context().run(path.read_text(encoding="utf-8"))


def replace(table: str, path: Path) -> None:
    """Run the file of a table that is to keep its elements, unless they have other types now."""
    try:
        load(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.EINVAL):
            raise
        commands = f'delete table {table}; include "{path}"'
        with step("replace a packet filter of another kind", "nft", commands):
            _own_context().run(commands)


def ask(command: str) -> str:
    """Return what an nft command prints that changes nothing ("get element …", "list …").

    Raises FileNotFoundError if there is no such table, set or element.
    """
    return _own_context().run(command)


def look(netns: Netns | None = None) -> tuple[str, str]:
    """Return all rules of this network namespace, or of another one: as JSON, and as text.

    libnftables-json(5) tells what they mean; the text, with handles, is how they are typed.
    """
    with nullcontext() if netns is None else namespaces.inside(netns):
        context = _Context()
    try:
        return context.print("list ruleset", _JSON), context.print("list ruleset", _HANDLES)
    finally:
        context.free()


def close() -> None:
    """Close all that this process has open to nftables, which holds its network namespace."""
    nft_messages.close()
    global _context
    if _context is not None and _context.owner[0] == os.getpid():
        _context.free()
    _context = None


class _Context:
    """One nft context: a netlink socket in the namespace of its birth, and two buffers."""

    def __init__(self) -> None:
        self.owner = namespaces.here()
        self._library = _libnftables()
        lowest = os.open("/dev/null", os.O_RDONLY)
        os.close(lowest)
        self._pointer = self._library.nft_ctx_new(0)
        if not self._pointer:
            raise OSError(errno.ENOMEM, "libnftables makes no context")
        os.set_inheritable(lowest, False)  # its socket is not close-on-exec: this is its number
        self._library.nft_ctx_buffer_output(self._pointer)
        self._library.nft_ctx_buffer_error(self._pointer)

    def run(self, commands: str) -> str:
        """Run commands; return what they print. Raises OSError.

        Another process's change interrupts the look that libnftables takes before its own,
        and a transaction is all or nothing: so one that was interrupted is made again.
        """
        for _ in range(_TRIES):
            try:
                return self._run_once(commands)
            except InterruptedError as error:
                interrupted = error
        raise interrupted

    def _run_once(self, commands: str) -> str:
        result = self._library.nft_run_cmd_from_buffer(self._pointer, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._pointer)
        words: bytes = self._library.nft_ctx_get_error_buffer(self._pointer)
        if result != 0:
            raise _error(words.decode(errors="replace"))
        return output.decode(errors="replace")

    def print(self, command: str, form: int) -> str:
        """Return what a command prints in another form."""
        self._library.nft_ctx_output_set_flags(self._pointer, form)
        return self.run(command)

    def free(self) -> None:
        """Close the socket."""
        self._library.nft_ctx_free(self._pointer)


_context: _Context | None = None


def _own_context() -> _Context:
    """Return the context of this process and namespace.

    One that was inherited by a fork(2) shares its socket with the parent, and would read
    the parent's answers: it is left alone.
    """
    global _context
    if _context is None or _context.owner != namespaces.here():
        close()
        _context = _Context()
    return _context


def preload() -> None:
    """Load the library now rather than at the first change; no context is opened."""
    _libnftables()


@cache
def _libnftables() -> ctypes.CDLL:
    try:
        library = ctypes.PyDLL(_LIBRARY)
    except OSError as error:
        why = f"{error}: install the package that has it (Debian: libnftables1)"
        raise OSError(errno.ENOENT, why) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    return library


def _error(words: str) -> OSError:
    """Return the error of nft's complaint: its first line says what is wrong."""
    complaint = words.strip().splitlines() or ["no reason given"]
    first = next((line for line in complaint if "rror:" in line), complaint[0])
    why = first.partition("rror: ")[2] or first
    code = next((code for text, code in _REASONS.items() if text in why), errno.EINVAL)
    return OSError(code, why)
