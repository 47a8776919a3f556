"""Compiled filters of system calls, kept so that each profile is compiled once.

    ROOT/cache/seccomp/DIGEST.bpf     the program, or several with an empty instruction between
                                      them; the name says what they were compiled from

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

from minirt.errors import InvalidRequest
from minirt.kernel import seccomp, syscall_tables
from minirt.state import made, root_dir

_MADE_FROM = (
    *("syscalls.json", "syscall_tables.py", "bpf_assembler.py"),
    *("seccomp_compiler.py", "seccomp_splitting.py"),
)
_SEPARATOR = bytes(seccomp.INSTRUCTION)  # an instruction that the compiler never writes


def compiled(rules: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the programs for config.json's linux.seccomp, in the order of loading.

    Raises InvalidRequest.
    """
    path = root_dir() / "cache" / "seccomp" / f"{_digest(rules)}.bpf"
    programs = _fetch(path)
    if programs is None:
        programs = compile_rules(rules)
        _keep(path, _SEPARATOR.join(programs))
    return programs


def compile_rules(rules: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Compile config.json's linux.seccomp. Raises InvalidRequest."""
    from minirt.kernel import seccomp_splitting
    from minirt.runtime import seccomp_rules

    try:
        return seccomp_splitting.compile_filters(seccomp_rules.read(rules), syscall_tables.load())
    except seccomp_splitting.TooLarge as error:
        remedy = "Use fewer rules with conditions (args), or fewer architectures."
        raise InvalidRequest("linux.seccomp is too large", str(error), remedy) from error


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


def _fetch(path: Path) -> tuple[bytes, ...] | None:
    """Read programs that root wrote; None if there are none."""
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
        if status.st_size > seccomp.INSTRUCTION * seccomp.MOST_TOGETHER:
            return None
        programs = _separated(os.read(fd, status.st_size))
        most = seccomp.INSTRUCTION * seccomp.MOST_INSTRUCTIONS
        return programs if all(0 < len(one) <= most for one in programs) else None
    finally:
        os.close(fd)


def _separated(text: bytes) -> tuple[bytes, ...]:
    if _SEPARATOR not in text:
        return (text,)
    size = seccomp.INSTRUCTION
    ends = [at for at in range(0, len(text), size) if text[at : at + size] == _SEPARATOR]
    starts = [0, *(end + size for end in ends)]
    return tuple(text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True))


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
