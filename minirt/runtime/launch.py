"""The last steps of a process that becomes the command: its limits, its user, execve(2)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minirt.errors import InvalidRequest, KernelRefused, MinirtError, in_quotes, kernel_refused
from minirt.kernel import capabilities, mounts, rlimits, scheduling, springboard
from minirt.kernel.steps import announce
from minirt.runtime import command, handshake, privileges, standard_streams, users
from minirt.runtime.filters import Filters
from minirt.runtime.spec import Process

if TYPE_CHECKING:
    from minirt.kernel.numa import MemoryPolicy

# What a security module says of a name that it doesn't know.
_NO_PROFILE = (errno.ENOENT, "no such profile is loaded")
_NO_LABEL = (errno.EINVAL, "the policy of SELinux has no such label")


def as_user(process: Process, root: int, text: str | None, extra: Iterable[str] = ()) -> Process:
    """Return the process with its user and its HOME, as the files beneath ``root`` have them.

    ``text`` is Docker's "user[:group]"; None: the ids stand in the config already. ``extra``
    are names or numbers of further groups.
    """
    one = process.user
    found = users.resolve(root, str(one.uid) if text is None else text, extra)
    if text is not None:
        groups = found.additional_gids
        more = tuple(gid for gid in one.additional_gids if gid not in groups)
        one = replace(one, uid=found.uid, gid=found.gid, additional_gids=groups + more)
    environment = dict(word.split("=", 1) for word in process.env)
    if not environment.get("HOME"):
        environment.pop("HOME", None)  # An empty one moves to the end, as Docker has it.
        environment["HOME"] = found.home
    words = tuple(f"{name}={value}" for name, value in environment.items())
    return replace(process, user=one, env=words)


def enter_cwd(path: str) -> None:
    """Go to the working directory. Raises InvalidRequest if that is none, or outside."""
    try:
        os.chdir(path)
        Path.cwd()
    except FileNotFoundError as error:
        why = "No such file or directory" if error.filename else "it is outside of the container"
        raise InvalidRequest(f"Cannot use {path} as the working directory", why) from error
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"Cannot use {path} as the working directory", why) from error


def set_limits(process: Process, pid: int = 0) -> None:
    """Set the resource limits, of the caller or of ``pid`` as its PID namespace counts.

    Raises InvalidRequest for one that can't be had.
    """
    for one in process.rlimits:
        name = one.kind.removeprefix("RLIMIT_").lower()
        try:
            rlimits.write(name, one.soft, one.hard, pid)
        except PermissionError as error:
            why = "it is above the hard limit of this machine's root, who may not raise it"
            raise InvalidRequest(f"Cannot set the limit of {name} to {one.hard}", why) from error


def raise_limits(process: Process) -> None:
    """Raise the hard limits that are to be higher than now; the others come last.

    So a limit that can't be had is an error of "create". A lower one could stop minirt itself.
    Raises InvalidRequest as :func:`set_limits`.
    """
    higher = []
    for one in process.rlimits:
        soft, hard = rlimits.read(one.kind.removeprefix("RLIMIT_").lower())
        if hard != rlimits.UNLIMITED and hard < one.hard:
            higher.append(replace(one, soft=soft))
    set_limits(replace(process, rlimits=tuple(higher)))


def set_scheduling(
    process: Process, personality: int | None, memory_policy: MemoryPolicy | None
) -> None:
    """Set when it runs, what it takes the kernel for, and from where its memory comes.

    Raises KernelRefused.
    """
    try:
        if process.io_priority is not None:
            scheduling.set_io_priority(*process.io_priority)
        if process.scheduler is not None:
            scheduling.set_scheduler(process.scheduler)
        if personality is not None:
            scheduling.set_personality(personality)
    except OSError as error:
        what = "Cannot schedule the process as it is asked for"
        if _lacks_realtime_budget(process, error):
            why = "its cgroup has no realtime budget (cpu.rt_runtime_us)"
            remedy = "Set linux.resources.cpu.realtimeRuntime; a user namespace has no right to it."
            raise InvalidRequest(what, why, remedy) from error
        raise kernel_refused(what, error) from error
    if memory_policy is None:
        return
    from minirt.kernel import numa  # The reader has read it already.

    try:
        numa.set_policy(memory_policy)
    except OSError as error:
        nodes = ",".join(map(str, sorted(memory_policy.nodes)))
        what = f"Cannot set the memory policy MPOL_{memory_policy.mode} for nodes {nodes or 'none'}"
        raise kernel_refused(what, error) from error


def _lacks_realtime_budget(process: Process, error: OSError) -> bool:
    """Say whether it is the process's cgroup that keeps it from a realtime policy, sched(7).

    A kernel with RT_GROUP_SCHED refuses that with EPERM, also to a process with CAP_SYS_NICE.
    """
    one = process.scheduler
    realtime = (scheduling.POLICIES["FIFO"], scheduling.POLICIES["RR"])
    if one is None or one.policy not in realtime or error.errno != errno.EPERM:
        return False
    return capabilities.is_effective("CAP_SYS_NICE")


def set_oom_score(process: Process, pid: int | str = "self") -> None:
    """Say how early the kernel kills it when memory runs out (proc_pid_oom_score_adj(5)).

    ``pid`` is as the mounted /proc counts.
    """
    if process.oom_score_adj is None:
        return
    fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(process.oom_score_adj).encode())
    except PermissionError as error:
        what = f"Cannot set the OOM score to {process.oom_score_adj}"
        raise InvalidRequest(what, "to lower it needs CAP_SYS_RESOURCE") from error
    finally:
        os.close(fd)


def label_keys(process: Process) -> None:
    """Let new keyrings have the command's label, without which it could not use them.

    Raises InvalidRequest.
    """
    if not process.selinux_label:
        return
    from minirt.kernel import security_modules  # The reader has read it: here may be no file of it.

    with _naming(process.selinux_label, _NO_LABEL):
        security_modules.label_keys(process.selinux_label)


def become(
    process: Process,
    path: str,
    filters: Filters,
    line: int,
    wait: Callable[[], object] | None = None,
) -> None:
    """Drop every privilege that the process is not to have, and become it. Never returns.

    ``line`` hears what went wrong at the very end. If there is something to ``wait`` for, that is
    a word on the line, before the command's own execve(2). Raises CommandNotFound,
    CommandNotRunnable, and what :func:`privileges.drop` raises.
    """
    os.umask(process.user.umask)
    environment = dict(word.split("=", 1) for word in process.env)
    _own_stdio(process.user.uid)
    board = None
    if not process.is_labelled and filters.lets_spring:
        board = springboard.make(line, waits=wait is not None)
    if board is None:
        if wait is not None:
            wait()
        command.refuse_own_binary(path)
    _take_labels(process)
    privileges.drop(process, filters, hides=board is not None and filters.lets_hide)
    announce("become the command", "exec", *process.args)
    if board is not None and wait is not None:
        os.write(line, handshake.READY)
    try:
        if board is not None:
            os.execve(board, (path, *process.args), environment)
        os.execve(path, process.args, environment)
    except OSError as error:
        if board is not None and wait is not None:
            os.write(line, springboard.packed(error))
            os._exit(1)
        raise command.refused(process.args[0], error) from error


def _take_labels(process: Process) -> None:
    """Let a security module confine the command from its execve(2) on. Raises InvalidRequest.

    Only from that one: hence no springboard, whose execve would come first.
    """
    if not process.is_labelled:
        return
    from minirt.kernel import security_modules

    if process.apparmor_profile:
        with _naming(process.apparmor_profile, _NO_PROFILE):
            security_modules.confine_by_apparmor(process.apparmor_profile)
    if process.selinux_label:
        with _naming(process.selinux_label, _NO_LABEL):
            security_modules.confine_by_selinux(process.selinux_label)


@contextmanager
def _naming(label: str, unknown: tuple[int, str]) -> Iterator[None]:
    """Say which profile or label a security module has refused, and why."""
    try:
        yield
    except OSError as error:
        number, why = unknown
        if error.errno != number:
            why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"Cannot confine the process by {in_quotes(label)}", why) from error


def _own_stdio(uid: int) -> None:
    """Let the user open its standard streams again, by /dev/stdout. Never the host's files."""
    give_stdio((0, 1, 2), uid)


def give_stdio(stdio: Iterable[int], uid: int, gid: int = -1) -> None:
    """Give streams that are pipes or terminals to a user. A named FIFO is a file of the host."""
    for fd in stdio:
        try:
            found = os.fstat(fd)
        except OSError:
            continue
        if found.st_uid == uid:
            continue
        if os.isatty(fd) or standard_streams.is_anonymous_pipe(fd):
            try:
                os.fchown(fd, uid, gid)
            except OSError:
                continue


def explained(error: BaseException) -> MinirtError:
    """Return an error that can cross to the creator, for whatever was raised."""
    if isinstance(error, MinirtError):
        return error
    if isinstance(error, mounts.RootIsNoMountPoint):
        remedy = "Before chroot(8), make it one: mount --rbind DIR DIR."
        return KernelRefused("Cannot set up the container", str(error.strerror), remedy)
    if isinstance(error, OSError):
        return kernel_refused("Cannot set up the container", error)
    return MinirtError("Cannot set up the container", f"{type(error).__name__}: {error}")
