"""What one process may use: getrlimit(2), prlimit(2)."""

from __future__ import annotations

import resource

from minirt.kernel.steps import step

UNLIMITED = resource.RLIM_INFINITY
_OTHER_UNLIMITED = 2**64 - 1  # as the kernel, and OCI's config.json, write it

# include/uapi/asm-generic/resource.h; the module knows all but RLIMIT_LOCKS.
NUMBERS = {
    name.removeprefix("RLIMIT_").lower(): number
    for name, number in vars(resource).items()
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
} | {"locks": 10}


def read(name: str, pid: int = 0) -> tuple[int, int]:
    """Return the soft and the hard limit ``name`` ("nofile") of a process. Raises KeyError."""
    return resource.prlimit(pid, NUMBERS[name])


def write(name: str, soft: int, hard: int, pid: int = 0) -> None:
    """Set both limits of a process; -1 is unlimited.

    Raises KeyError for an unknown name, ValueError for soft > hard, PermissionError where a hard
    limit would rise without CAP_SYS_RESOURCE in the first user namespace.
    """
    soft, hard = _signed(soft), _signed(hard)
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise ValueError(f"the soft limit of {name} is above the hard one")
    words = (f"--{name}={_word(soft)}:{_word(hard)}", "--pid", pid or "$$")
    with step("limit the process", "prlimit", *words):
        try:
            resource.prlimit(pid, NUMBERS[name], (soft, hard))
        except ValueError as error:  # how the module tells EPERM here
            raise PermissionError(1, f"the hard limit of {name} can't be raised") from error


def _signed(value: int) -> int:
    return UNLIMITED if value == _OTHER_UNLIMITED else value


def _word(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)
