"""The seccomp filter of a process, compiled before the process is born."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minirt.errors import InvalidRequest
from minirt.kernel import seccomp, springboard

if TYPE_CHECKING:
    from minirt.runtime.seccomp_agent import Agent

_LETS_THROUGH = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_HIDES = ("setfsgid",)  # what ``privileges.drop`` calls to hide
_NOTIFY = "SCMP_ACT_NOTIFY"


@dataclass(frozen=True, slots=True)
class Filters:
    """Compiled programs in the order of loading; none for no filter.

    ``agent`` is the supervisor that answers the calls of rules with SCMP_ACT_NOTIFY.
    """

    programs: tuple[bytes, ...] = ()
    flags: int = 0
    agent: Agent | None = None
    lets_spring: bool = True  # surely: all that the springboard calls
    lets_hide: bool = True  # surely: what keeps the springboard from being traced

    def descriptors(self) -> set[int]:
        """Return what must stay open until the filter is loaded."""
        return {self.agent.fileno()} if self.agent else set()

    def load(self, programs: Sequence[seccomp.Loadable]) -> None:
        """Put the filter in force, laid out as ``programs``; its supervisor gets the listener.

        From here on any system call of this process may be refused, or wait for the supervisor.
        Raises InvalidRequest, OSError.
        """
        try:
            if self.agent:
                self.agent.hand_over(lambda: self._load(programs))
            else:
                self._load(programs)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            why = f"the kernel allows {seccomp.MOST_TOGETHER} instructions in all filters together"
            what = "linux.seccomp is too large beside the filters that this process has inherited"
            raise InvalidRequest(what, why) from error

    def _load(self, programs: Sequence[seccomp.Loadable]) -> int:
        """Load all of them; the last one has the listener."""
        of_listener = seccomp.NEW_LISTENER | seccomp.WAIT_KILLABLE_RECV
        for one in programs[:-1]:
            seccomp.load(one, self.flags & ~of_listener)
        return seccomp.load(programs[-1], self.flags)

    def close(self) -> None:
        """Leave the supervisor to the child."""
        if self.agent:
            self.agent.close()


_ready: tuple[Mapping[str, Any], Filters] | None = None


def get_ready(rules: Mapping[str, Any]) -> None:
    """Prepare rules, without a supervisor, for all processes that are forked from this one."""
    global _ready
    _ready = rules, prepare(rules)


def prepare(rules: Mapping[str, Any] | None) -> Filters:
    """Compile config-linux.md, "Seccomp", and connect to its supervisor. Raises InvalidRequest."""
    if rules is None:
        return Filters()
    if _ready and rules == _ready[0]:
        return _ready[1]
    from minirt.runtime import seccomp_programs

    programs = seccomp_programs.compiled(rules)
    flags, springs = 0, lets_through(rules, springboard.CALLS)
    hides = lets_through(rules, _HIDES)
    for name in rules.get("flags") or ():
        flags |= seccomp.FLAGS[name]
    if not any(one["action"] == _NOTIFY for one in rules.get("syscalls") or ()):
        flags &= ~seccomp.WAIT_KILLABLE_RECV
        return Filters(programs, flags, lets_spring=springs, lets_hide=hides)
    from minirt.runtime import seccomp_agent

    agent = seccomp_agent.connect(rules)
    flags |= seccomp.NEW_LISTENER
    return Filters(programs, flags, agent, lets_spring=springs, lets_hide=hides)


def lets_through(rules: Mapping[str, Any], calls: Iterable[str]) -> bool:
    """Say whether rules surely let all of these system calls through."""
    return all(_lets_through(rules, call) for call in calls)


def _lets_through(rules: Mapping[str, Any], call: str) -> bool:
    about = [one for one in rules.get("syscalls") or () if call in one["names"]]
    if any(one["action"] not in _LETS_THROUGH for one in about):
        return False
    freely = any(not one.get("args") for one in about)
    return freely or rules["defaultAction"] in _LETS_THROUGH
