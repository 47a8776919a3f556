"""The seccomp filter of a process, compiled before the process is born."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_LETS_THROUGH = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")


@dataclass(frozen=True, slots=True)
class Filters:
    """A compiled program, None for no filter, and what it was compiled from."""

    program: bytes | None = None
    rules: Mapping[str, Any] | None = None

    def let_through(self, calls: Iterable[str]) -> bool:
        """Say whether the filter surely lets all of these system calls through."""
        if self.program is None or self.rules is None:
            return True
        return all(_lets_through(self.rules, call) for call in calls)


def prepare(rules: Mapping[str, Any] | None) -> Filters:
    """Compile config-linux.md, "Seccomp". Raises InvalidRequest."""
    if rules is None:
        return Filters()
    from minirt.runtime import seccomp_programs

    return Filters(seccomp_programs.compiled(rules), rules)


def _lets_through(rules: Mapping[str, Any], call: str) -> bool:
    about = [one for one in rules.get("syscalls") or () if call in one["names"]]
    if any(one["action"] not in _LETS_THROUGH for one in about):
        return False
    freely = any(not one.get("args") for one in about)
    return freely or rules["defaultAction"] in _LETS_THROUGH
