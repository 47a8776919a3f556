"""A program of about a hundred bytes, to run between this interpreter and a program of strangers.

While execve(2) works on its path, /proc/self/exe still is the program that called it. A path,
a ``#!`` line or an ELF interpreter that says ``/proc/self/exe`` thus starts the *caller's*
binary, with the stranger's libraries in it, and from then on that binary can be opened and,
by root, overwritten (CVE-2019-5736). Checks before the call can be raced. So this process first
becomes a tiny static program in a sealed memory file (memfd_create(2)), which nobody can
write to and which is not on any disk; and that one calls execve(2). It costs 0.2 ms.

Its first word is the path, the others are the words of the command:

    prctl(PR_SET_DUMPABLE, 0)           only if it is to wait: nobody else must get at the line
    read(LINE, …)                       only then, too; or exit: the line has ended
    fcntl(LINE, F_SETFD, FD_CLOEXEC)    or exit: without the line, it was not we who called it
    execve(argv[0], argv + 1, envp)
    write(LINE, errno, 4)               only if that failed
    exit_group(127)
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

# The system calls that it makes, or that lead to it: a filter must let them through.
CALLS = ("execveat", "prctl", "read", "fcntl", "execve", "write", "exit_group")

_MFD_EXEC = 0x10  # include/uapi/linux/memfd.h, since Linux 6.3, for hosts with vm.memfd_noexec
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_ADDRESS = 0x40_0000
_HEADERS = 64 + 2 * 56  # the ELF header and two program headers, elf(5)
_ELF = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_PT_LOAD, _PT_GNU_STACK, _READ, _WRITE, _EXECUTE = 1, 0x6474_E551, 4, 2, 1


def make(line: int, *, waits: bool = False) -> int | None:
    """Return a descriptor to execute (fexecve(3)), None if this machine can't have one.

    ``line`` is the descriptor that hears of a failure, and says the word if the program ``waits``
    for one; it is inherited from here on.
    """
    if os.uname().machine != "x86_64":
        return None
    fd = _memory_file()
    if fd is not None:
        os.write(fd, _program(line, waits=waits))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        os.set_inheritable(line, True)
    return fd


def packed(error: OSError) -> bytes:
    """Return what the program writes for an error."""
    return struct.pack("<i", error.errno or 0)


def failure(packet: bytes) -> OSError | None:
    """Read what came over the line: the error, None if it is nothing of this program's."""
    if len(packet) != 4:
        return None
    (code,) = struct.unpack("<i", packet)
    return OSError(code, os.strerror(code))


def _memory_file() -> int | None:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("springboard", flags | _MFD_EXEC)
    except PermissionError:
        return None  # vm.memfd_noexec=2
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create("springboard", flags)


def _program(line: int, *, waits: bool) -> bytes:
    """Return the file: headers, then code."""
    code = (_wait(line) if waits else b"") + _code(line)
    size = _HEADERS + len(code)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _ELF.pack(ident, 2, 62, 1, _ADDRESS + _HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    text = _SEGMENT.pack(_PT_LOAD, _READ | _EXECUTE, 0, _ADDRESS, _ADDRESS, size, size, 0x1000)
    stack = _SEGMENT.pack(_PT_GNU_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16)
    return header + text + stack + code


def _wait(line: int) -> bytes:
    """Return the machine code that comes before :func:`_code`, and knows where its exit is."""
    return b"".join(
        (
            b"\xbf\x04\x00\x00\x00",  #         mov   $4, %edi             PR_SET_DUMPABLE
            b"\x31\xf6",  #                     xor   %esi, %esi
            b"\xb8\x9d\x00\x00\x00\x0f\x05",  # mov   $157, %eax; syscall  prctl
            b"\xbf" + struct.pack("<i", line),  # mov   $LINE, %edi
            b"\x48\x8d\x74\x24\xc0",  #         lea   -64(%rsp), %rsi
            b"\xba\x40\x00\x00\x00",  #         mov   $64, %edx
            b"\x31\xc0\x0f\x05",  #             xor   %eax, %eax; syscall  read
            b"\x85\xc0\x7e\x4b",  #             test  %eax, %eax; jle  exit
        )
    )


def _code(line: int) -> bytes:
    """Return the machine code, as the GNU assembler makes it from what stands to the right."""
    number = struct.pack("<i", line)
    return b"".join(
        (
            b"\xbf" + number,  #                mov   $LINE, %edi
            b"\xbe\x02\x00\x00\x00",  #         mov   $2, %esi             F_SETFD
            b"\xba\x01\x00\x00\x00",  #         mov   $1, %edx             FD_CLOEXEC
            b"\xb8\x48\x00\x00\x00\x0f\x05",  # mov   $72, %eax; syscall   fcntl
            b"\x85\xc0\x78\x31",  #             test  %eax, %eax; js  exit
            b"\x48\x8b\x04\x24",  #             mov   (%rsp), %rax         argc
            b"\x48\x8b\x7c\x24\x08",  #         mov   8(%rsp), %rdi        argv[0]
            b"\x48\x8d\x74\x24\x10",  #         lea   16(%rsp), %rsi       argv + 1
            b"\x48\x8d\x54\xc4\x10",  #         lea   16(%rsp,%rax,8), %rdx  envp
            b"\xb8\x3b\x00\x00\x00\x0f\x05",  # mov   $59, %eax; syscall   execve
            b"\xf7\xd8\x50",  #                 neg   %eax; push %rax      errno
            b"\xbf" + number,  #                mov   $LINE, %edi
            b"\x48\x89\xe6",  #                 mov   %rsp, %rsi
            b"\xba\x04\x00\x00\x00",  #         mov   $4, %edx
            b"\xb8\x01\x00\x00\x00\x0f\x05",  # mov   $1, %eax; syscall    write
            b"\xbf\x7f\x00\x00\x00",  #   exit: mov   $127, %edi
            b"\xb8\xe7\x00\x00\x00\x0f\x05",  # mov   $231, %eax; syscall  exit_group
        )
    )
