"""What a kernel may have been built without."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from minirt.errors import KernelRefused

_ABSENT = {
    errno.EOPNOTSUPP,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.ENOPROTOOPT,
    errno.ENOSYS,
}


@contextmanager
def needs(what: str, module: str) -> Iterator[None]:
    """Say which part of Linux is missing, where the body fails because of that.

    Raises KernelRefused.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        why = error.strerror or str(error)
        remedy = f"Load its module (modprobe {module}), or take a kernel that has it."
        raise KernelRefused(f"This kernel has no {what}", why, remedy) from error
