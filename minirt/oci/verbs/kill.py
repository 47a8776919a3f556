"""``minirt-oci kill``: a signal to init, or to all."""

from __future__ import annotations

import os
import signal

from minirt.errors import InvalidRequest, in_quotes
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step
from minirt.oci import groups, lifecycle, records
from minirt.oci.records import Record
from minirt.oci.words import Asked


def run(asked: Asked) -> int:
    """Send the signal. Raises Conflict for a container that has stopped, unless to all.

    Signal 0 only asks whether the container runs, as with kill(2).
    """
    number = parse(asked.words[1] if len(asked.words) > 1 else "TERM")
    for record in records.chosen(asked.id, by_regex=asked.flag("regex")):
        _kill(record, number, to_all=asked.flag("all"))
    return 0


def _kill(record: Record, number: int, *, to_all: bool) -> None:
    everybody = to_all or (number == signal.SIGKILL and not _has_own_pids(record))
    if everybody:
        _signal_all(record, number)
        if to_all:
            return
    pidfd = lifecycle.init_of(record) if everybody else lifecycle.living(record)
    if pidfd is None:
        return
    try:
        with step("send a signal", "kill", f"-{number}", record.pid):
            signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
    if number == signal.SIGKILL:
        _thaw(record)


def parse(text: str) -> int:
    """Return the number of a signal, from its number or its name. Raises InvalidRequest."""
    if text.isascii() and text.isdigit():
        if int(text) < signal.NSIG:
            return int(text)
    else:
        name = f"SIG{text.upper().removeprefix('SIG')}"
        if name in signal.Signals.__members__:
            return signal.Signals[name]
        if name.startswith(("SIGRTMIN+", "SIGRTMAX-")) and name[9:].isdigit():
            sign = 1 if name[8] == "+" else -1
            number = signal.Signals[name[:8]] + sign * int(name[9:])
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    raise InvalidRequest(f"unknown signal {in_quotes(text)}")


def _has_own_pids(record: Record) -> bool:
    from minirt.runtime import reader

    return Namespace.PID in reader.read(record.config()).new_namespaces()


def _signal_all(record: Record, number: int) -> None:
    group = groups.of(record.cgroup)
    if group is None:
        return
    if number == signal.SIGKILL:
        if any(one.path.exists() for one in group.folders):
            group.kill()
        return
    for pid in group.pids():
        with step("send a signal", "kill", f"-{number}", pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _thaw(record: Record) -> None:
    """Let a paused container die: in version 1 the frozen don't."""
    group = groups.of(record.cgroup)
    if group and groups.is_frozen(group):
        group.thaw()
