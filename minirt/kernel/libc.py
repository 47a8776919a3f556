"""The system calls that Python does not wrap, each under its own name.

``os.unshare`` and ``os.setns`` came with Python 3.12; the others never came. PyDLL rather
than CDLL: it keeps the interpreter's lock during the call, without which the child of a
clone3(2) may wait for ever for a lock that another thread held when it was born.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

_libc = ctypes.PyDLL(None, use_errno=True)

# Calls without a wrapper in every glibc that we meet, by number (syscall(2)). From
# open_tree on, all architectures agree. Sources: arch/x86/entry/syscalls/syscall_64.tbl,
# include/uapi/asm-generic/unistd.h.
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "keyctl": 250, "ioprio_set": 251, "bpf": 321}
    | {"ioprio_get": 252, "personality": 135, "sched_setattr": 314, "seccomp": 317}
    | {"set_mempolicy": 238}
    | {"setgroups": 116, "setresuid": 117, "setresgid": 119}
    | {"setfsuid": 122, "setfsgid": 123},
    "aarch64": {"pivot_root": 41, "capset": 91, "keyctl": 219, "ioprio_set": 30, "bpf": 280}
    | {"ioprio_get": 31, "personality": 92, "sched_setattr": 274, "seccomp": 277}
    | {"set_mempolicy": 237}
    | {"setgroups": 159, "setresuid": 147, "setresgid": 149}
    | {"setfsuid": 151, "setfsgid": 152},
}[os.uname().machine] | {
    "rt_sigaction": {"x86_64": 13, "aarch64": 134}[os.uname().machine],
    "syncfs": {"x86_64": 306, "aarch64": 267}[os.uname().machine],
    "fstatfs": {"x86_64": 138, "aarch64": 44}[os.uname().machine],
    "getdents64": {"x86_64": 217, "aarch64": 61}[os.uname().machine],
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "fchmodat2": 452,
}


def _call_with(count: int) -> Any:
    """Return syscall(2) for so many arguments: words, whatever they mean."""
    call = _libc["syscall"]
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long, *[ctypes.c_void_p] * count)
    return call


_CALLS = [_call_with(count) for count in range(7)]
_STATFS, _TYPE = 120, struct.Struct("@l")  # struct statfs of 64 bits, and what it begins with
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str = "") -> None:
    """Attach a file system, mount(2). Raises OSError with ``target`` as its file name."""
    _check(_libc.mount(_bytes(source), _bytes(target), _bytes(fstype), flags, _bytes(data)), target)


def umount2(target: str, flags: int) -> None:
    """Detach a file system, umount(2)."""
    _check(_libc.umount2(_bytes(target), flags), target)


def unshare(flags: int) -> None:
    """Leave namespaces, unshare(2)."""
    _check(_libc.unshare(flags))


def setns(fd: int, nstype: int) -> None:
    """Enter the namespace(s) of ``fd``, setns(2); a pidfd enters several kinds at once."""
    _check(_libc.setns(fd, nstype))


def prctl(option: int, *arguments: int) -> int:
    """Operate on the process, prctl(2): only what python-prctl lacks."""
    return _check(_libc.prctl(option, *arguments, *[0] * (4 - len(arguments))))


def madvise(address: int, length: int, advice: int) -> None:
    """Advise the kernel about memory, madvise(2)."""
    _check(_libc.madvise(address, length, advice))


def syscall(name: str, *arguments: int | str | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Call the kernel by number, syscall(2), with all arguments that it looks at.

    Integers go as 64-bit words, text as a C string, buffers by address. Raises OSError.
    """
    words = [os.fsencode(one) if isinstance(one, str) else one for one in arguments]
    return _check(_CALLS[len(words)](_NUMBERS[name], *words))


def file_system(fd: int) -> int:
    """Return of what type the file system of a file is, fstatfs(2): a number of linux/magic.h."""
    found = ctypes.create_string_buffer(_STATFS)
    syscall("fstatfs", fd, found)
    return int(_TYPE.unpack_from(found)[0])


def pivot_root(new_root: str, put_old: str) -> None:
    """Exchange the root, pivot_root(2)."""
    syscall("pivot_root", new_root, put_old)


def become(uid: int, gid: int, groups: list[int] | None, fsgid: int | None = None) -> None:
    """Take these ids, setgroups(2), setresgid(2), setresuid(2); and ``fsgid``, setfsgid(2).

    If ``groups`` is None, the supplementary groups stay as they are.

    By number: the C library's own would signal every thread that it believes there is, to
    change with this one (nptl(7)). After a clone3(2) without its knowledge it believes in
    threads of the parent's, and the signal may kill this process.
    """
    if groups is not None:
        syscall("setgroups", len(groups), struct.pack(f"{len(groups)}I", *groups))
    syscall("setresgid", gid, gid, gid)
    if fsgid is not None:
        syscall("setfsgid", fsgid)
    syscall("setresuid", uid, uid, uid)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def _check(result: int, filename: str | None = None) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), filename)
    return result
