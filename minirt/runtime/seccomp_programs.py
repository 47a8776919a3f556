"""Compiled filters of system calls, kept so that each profile is compiled once.

    ROOT/cache/seccomp/DIGEST.bpf     the program; its name says what it was compiled from

The digest covers the profile, the machine, and the code and the tables of the compiler. A
program of anybody but root, or of a strange length, is not taken: whoever can write it can
let a container do everything.
"""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minirt.kernel import seccomp, syscall_tables
from minirt.state import made, root_dir

_MADE_FROM = ("syscalls.json", "syscall_tables.py", "seccomp_compiler.py", "bpf_assembler.py")


def compiled(rules: Mapping[str, Any]) -> bytes:
    """Return the program for config.json's linux.seccomp. Raises InvalidRequest."""
    path = root_dir() / "cache" / "seccomp" / f"{_digest(rules)}.bpf"
    program = _fetch(path)
    if program is None:
        program = compile_rules(rules)
        _keep(path, program)
    return program


def compile_rules(rules: Mapping[str, Any]) -> bytes:
    """Compile config.json's linux.seccomp. Raises InvalidRequest."""
    from minirt.kernel.seccomp_compiler import compile_filter
    from minirt.runtime import seccomp_rules

    return compile_filter(seccomp_rules.read(rules), syscall_tables.load())


def _digest(rules: Mapping[str, Any]) -> str:
    try:  # hashlib brings OpenSSL along: 5 ms, and 4 MB in a server.
        from _blake2 import blake2b
    except ImportError:  # Nobody promises that place.
        from hashlib import blake2b
    folder = syscall_tables.FILE.parent
    files = [Path(__file__).with_name("seccomp_rules.py"), *(folder / one for one in _MADE_FROM)]
    ages = [file.stat().st_mtime_ns for file in files]
    # Without references, which depend on who else has the same string; version 2 of marshal.
    packed = marshal.dumps([rules, syscall_tables.native(), ages], 2)
    return blake2b(packed, digest_size=32).hexdigest()


def _fetch(path: Path) -> bytes | None:
    """Read a program that root wrote; None if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        trusted = status.st_uid == os.geteuid() and not status.st_mode & 0o022
        whole = status.st_size and status.st_size % seccomp.INSTRUCTION == 0
        if not (stat.S_ISREG(status.st_mode) and trusted and whole):
            return None
        if status.st_size > seccomp.INSTRUCTION * seccomp.MOST_INSTRUCTIONS:
            return None
        return os.read(fd, status.st_size)
    finally:
        os.close(fd)


def _keep(path: Path, program: bytes) -> None:
    """Write a program, at once or not at all. A disk that is full or read-only costs only time."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(scratch, flags, 0o600)
        try:
            os.write(fd, program)
        finally:
            os.close(fd)
        scratch.rename(path)
    except OSError:
        scratch.unlink(missing_ok=True)
