"""The server leaves all that it has from who happened to start it; credentials(7), signal(7)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from minirt.kernel import cgroups, inheritance, rlimits

_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}  # what the interpreter itself ignores


def leave() -> None:
    """Be nobody's: stopping a login session or a unit must not stop the server, nor containers.

    Its children take all of that from their own clients, but the OOM score, which is
    Docker's for a container (proc_pid_oom_score_adj(5)).
    """
    os.chdir("/")
    inheritance.plain().take()
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("0")
    for number in signal.valid_signals() - _PYTHONS:  # nohup(1) has one ignored, for instance.
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, most = rlimits.read("nofile")
    rlimits.write("nofile", most, most)  # It has a descriptor for each container.
    try:
        cgroups.make("monitors").enter()  # and so are the monitors that it forks
    except OSError:
        pass  # A read-only cgroup tree: then the session's it stays.
