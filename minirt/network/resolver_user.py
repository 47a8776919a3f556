"""Who the resolver is once it has started: a user of its own, who may read leases.

Every packet that it reads was written by a stranger. What it needs of root's it has by then:
its socket, its lock, its log, and RUN/networks as its working directory. Sockets inside of
containers are made by their monitors, and lent (lending.py).
"""

from __future__ import annotations

import errno
import os
import resource
import zlib

from minirt.kernel import capabilities, inheritance, libc
from minirt.network.lease_folder import GROUP

_USERS = 0xFFFF
_SET_NO_NEW_PRIVS = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)

# A bridge has 1023 ports at most. Each container takes three descriptors and up to 32 TCP
# connections, and all together 2048 questions on their way.
_DESCRIPTORS = 1 << 16
_MEMORY = 1 << 29  # bytes; 12 MB at its start, and up to half a megabyte for each container


def user_of(network: str) -> int:
    """Return the user of a network's resolver.

    No other network's, so no resolver can send signals to another one, and each has a
    user's number of inotify instances for itself. Two names may share a number; then the two
    trust each other as processes of one user do.
    """
    return GROUP + 1 + zlib.crc32(network.encode()) % _USERS


def become(network: str) -> None:
    """Give up root for good. What is imported later may not be found: import before."""
    inheritance.shed()
    _limit()
    capabilities.limit_bounding(0)
    user = user_of(network)
    try:
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(user, user, user)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # In a user namespace that doesn't map us: its root without capabilities, then.
    capabilities.set_sets(capabilities.Sets())
    libc.prctl(_SET_NO_NEW_PRIVS, 1)


def _limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit, value in (
        (resource.RLIMIT_NOFILE, min(most, _DESCRIPTORS)),
        (resource.RLIMIT_DATA, _MEMORY),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1 << 20),  # The log is the only file that it can write to.
    ):
        resource.setrlimit(limit, (value, value))
