"""The ``minirt`` that a person types: it hands its command line to the server, and waits.

    client                                   server
       |  -- arguments, environment, 0, 1, 2 --> |
       |  <--- "A" and a pidfd ----------------- |---- fork ----> child, which waits
       |  --- "G": go ------------------------------------------> |  runs the command
       |  <----------------------------------- "X" and a status --|
       |  or: <-- "K" and a signal ------------- |<-- killed -----|

The child runs nothing before "go", so a command never runs twice: a client that hears no "A"
runs it itself, and a child that hears no "G" leaves. The child tells its exit status itself,
so a server that dies meanwhile is not missed. Of a child that was killed the server tells.

Only modules written in C are imported here: ``os``, ``socket``, ``json`` or __future__ would cost
more than all the rest of this file's work together.
"""

import _signal
import _socket
import fcntl
import posix
import sys

ACCEPTED, GO, EXITED, KILLED, REFUSED = b"A", b"G", b"X", b"K", b"R"
VERSION = b"4"  # of what is said here
PARTS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")  # namespaces(7)
_FIRST = 0xEFFFFFF0  # include/linux/proc_ns.h: their inodes' numbers begin above, and are short so
_TCGETS, _TCSETSW = 0x5401, 0x5403  # ioctl_tty(2)

# What a command in the foreground gets from its terminal or from kill(1), and passes on.
_RELAYED = (
    *(_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT),
    *(_signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGALRM, _signal.SIGWINCH),
)
_PATIENCE = 1.0  # seconds for the server's first word; it needs a millisecond


def main() -> None:
    """Run the command line: by the server if there is one, else in this process."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from minirt.kernel import descriptors

        descriptors.open_standard_streams()
    # A caller that ignores it would have the kernel reap our children, waitpid(2).
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    if posix.environ.get(b"MINIRT_NO_SERVER") or posix.geteuid() != 0 or _must_stay_here():
        in_process()
    # Of what we open ourselves nothing: who got our end of the line would never hear it end.
    named = sorted({fd for word in sys.argv for fd in _descriptors_in(word)})
    line, modes = dial(), terminal_modes()
    if line is None:
        start_server()
    elif (pidfd := hand_over(line, named)) is not None:
        leave(*wait(line, pidfd), modes)
    else:
        line.close()
    in_process()


def in_process() -> None:
    """Run the command line here; does not return."""
    from minirt import light_dataclasses

    light_dataclasses.stand_in()
    from minirt.cli import main as run

    run()


def _must_stay_here() -> bool:
    """Say whether the command is for this very process: about servers, or in the background.

    What reads its terminal from the background is stopped (SIGTTIN); a server's child is not.
    """
    is_ours = posix.getegid() != 0 or _typed()[0] == "server"  # What it writes gets this group.
    try:
        return is_ours or (posix.isatty(0) and posix.tcgetpgrp(0) != posix.getpgrp())
    except OSError:
        return False


def _typed() -> tuple[str, str]:
    """Return the verb, and what is said before it of --runroot; "" where nothing is."""
    runroot, words = "", iter(sys.argv[1:])
    for word in words:
        if not word.startswith("-"):
            return word, runroot
        option, has_value, value = word.partition("=")
        if option in ("--root", "--runroot"):
            value = value if has_value else next(words, "")
            runroot = value if option == "--runroot" else runroot
    return "", runroot


def folder() -> bytes:
    """Return the folder of the servers' sockets: a server serves one state only."""
    run = _bytes(_typed()[1]) or posix.environ.get(b"MINIRT_RUNROOT") or b"/run/minirt"
    return run + b"/server"


def name() -> str:
    """Return the socket's name: one for each set of namespaces, of rights, and each installation.

    Root without a capability, or whom a filter confines, must not get here what it lacks.
    """
    files = [*(f"/proc/self/ns/{part}" for part in PARTS), main.__code__.co_filename]
    numbers = [posix.stat(file).st_ino % _FIRST for file in files]
    return "-".join([f"{number:x}" for number in numbers] + _rights())


def _rights() -> list[str]:
    """Return what this process may, as /proc/self/status has it; of equal values one."""
    fd = posix.open("/proc/self/status", posix.O_RDONLY | posix.O_CLOEXEC)
    text = posix.read(fd, 8192)
    posix.close(fd)
    keys = (b"CapEff:\t", b"CapBnd:\t", b"NoNewPrivs:\t", b"Seccomp_filters:\t")
    values = [text.partition(key)[2].split(b"\n", 1)[0] for key in keys]
    return [one.decode().lstrip("0") for one in dict.fromkeys(values)]


def dial() -> _socket.socket | None:
    """Connect to the server; None if there is none."""
    line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        where = posix.open(folder(), posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        line.connect(f"/proc/self/fd/{where}/{name()}")  # A name may have 107 bytes only.
        is_ours = _is_roots(posix.fstat(where), line)
        posix.close(where)
        if is_ours:
            return line
    except OSError:
        pass
    line.close()
    return None


def _is_roots(folder: posix.stat_result, line: _socket.socket) -> bool:
    """Say whether root made the folder and listens there; what we send has passwords in it.

    The command itself looks at the folders above (``state.check_own``), and says what is wrong.
    """
    pid_uid_gid = line.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)  # struct ucred
    user = int.from_bytes(pid_uid_gid[4:8], sys.byteorder)
    return user == 0 == folder.st_uid and not folder.st_mode & 0o022


def start_server() -> None:
    """Start a server for the next command; it gets nothing open: that may be a lock of flock(1)."""
    words: list[str | bytes] = [sys.executable, "-I", "-m", "minirt.server", folder(), name()]
    null = [(posix.POSIX_SPAWN_OPEN, fd, "/dev/null", posix.O_RDWR, 0) for fd in (0, 1, 2)]
    for fd in map(int, posix.listdir("/proc/self/fd")):
        if fd > 2 and _is_open(fd):
            posix.set_inheritable(fd, False)
    try:
        posix.posix_spawn(sys.executable, words, posix.environ, file_actions=null, setsid=True)
    except OSError:
        pass  # Without a server everything works as well.


def hand_over(line: _socket.socket, named: list[int]) -> int | None:
    """Send all that a command depends on; return the child's pidfd, None if it was refused."""
    here = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    fds = [*(fd if _is_open(fd) else null for fd in (0, 1, 2)), here, *named]
    parts = [VERSION, _state(), b" ".join(b"%d" % fd for fd in named), b"%d" % len(sys.argv)]
    parts += [_bytes(word) for word in sys.argv]
    parts += [key + b"=" + value for key, value in posix.environ.items()]
    body = b"\0".join(parts)
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]
    try:
        line.settimeout(_PATIENCE)
        line.sendmsg([len(body).to_bytes(8, "big")], rights)
        line.sendall(body)
        word, controls, _, _ = line.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        line.settimeout(None)
        if word != ACCEPTED or not controls:
            return None
        line.sendall(GO)
    except OSError:
        return None
    return int.from_bytes(controls[0][2][:4], sys.byteorder)


def _state() -> bytes:
    """Return umask, and ignored signals; limits and niceness the server can see for itself."""
    umask = posix.umask(0o22)
    posix.umask(umask)
    ignored = sum(1 << n for n in range(1, 32) if _signal.getsignal(n) == _signal.SIG_IGN)
    return b"%d %d" % (umask, ignored)


def _bytes(word: str) -> bytes:
    """Return what os.fsencode would."""
    return word.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _descriptors_in(word: str) -> set[int]:
    """Return the descriptors that an argument names, as ``--env-file <(…)`` does."""
    found = set()
    for prefix in ("/dev/fd/", "/proc/self/fd/"):
        for piece in word.split(prefix)[1:]:
            digits = piece[: len(piece) - len(piece.lstrip("0123456789"))]
            if digits and int(digits) > 2 and _is_open(int(digits)):
                found.add(int(digits))
    return found


def _is_open(fd: int) -> bool:
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def wait(line: _socket.socket, pidfd: int) -> tuple[bytes, int]:
    """Pass signals on until the end; return EXITED and the status, or KILLED and the signal."""

    def relay(number: int, _frame: object) -> None:
        try:
            _signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            pass

    def pause(_number: int, _frame: object) -> None:
        relay(_signal.SIGSTOP, None)
        posix.kill(posix.getpid(), _signal.SIGSTOP)
        relay(_signal.SIGCONT, None)

    for number, handler in (dict.fromkeys(_RELAYED, relay) | {_signal.SIGTSTP: pause}).items():
        # The child ignores what we were started to ignore, or passes it on to its container.
        is_ignored = _signal.getsignal(number) == _signal.SIG_IGN
        if not is_ignored or number in (_signal.SIGINT, _signal.SIGQUIT):
            _signal.signal(number, handler)
    answer = b""
    while len(answer) < 5:
        try:
            more = line.recv(5 - len(answer))
        except ConnectionResetError:  # before they had read "go"
            more = b""
        if not more:  # Child and server were killed, both before they could tell.
            return KILLED, _signal.SIGKILL
        answer += more
    return answer[:1], int.from_bytes(answer[1:], "big")


def terminal_modes() -> bytes | None:
    """Return how standard input behaves as a terminal (struct termios); None if it is none."""
    try:
        return fcntl.ioctl(0, _TCGETS, bytes(64))
    except OSError:
        return None


def leave(how: bytes, number: int, modes: bytes | None) -> None:
    """End as the command did: also by a signal, which a shell wants to know."""
    if how == KILLED:
        import resource

        try:  # The command may have made the terminal raw.
            if modes and posix.tcgetpgrp(0) == posix.getpgrp():
                fcntl.ioctl(0, _TCSETSW, modes)
        except OSError:
            pass  # It was hung up.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)
        number += 128  # It is blocked.
    posix._exit(number)
