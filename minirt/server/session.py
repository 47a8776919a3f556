"""The server leaves all that it has from who happened to start it; credentials(7), signal(7)."""

from __future__ import annotations

import os
import signal

from minirt.kernel import cgroups, inheritance, rlimits, scheduling

_PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}  # what the interpreter itself ignores
# Limits that would end it, or its monitors, in the middle of somebody's work; of descriptors it
# has one for each container.
_LIMITS = ("as", "cpu", "data", "fsize", "nofile", "nproc")


def leave() -> None:
    """Be nobody's: stopping a login session or a unit must not stop the server, nor containers.

    Its children take all of that from their own clients, but the OOM score and the personality,
    which are as Docker has them for a container (personality(2)).
    """
    os.chdir("/")
    inheritance.shed()
    scheduling.set_personality(scheduling.DOMAINS["LINUX"])
    for number in signal.valid_signals() - _PYTHONS:  # nohup(1) has one ignored, for instance.
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in _LIMITS:
        _, most = rlimits.read(name)
        rlimits.write(name, most, most)
    try:
        cgroups.make("monitors").enter()  # and so are the monitors that it forks
    except OSError:
        pass  # A read-only cgroup tree: then the session's it stays.
