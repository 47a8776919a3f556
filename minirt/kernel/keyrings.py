"""The kernel's key store (keyrings(7))."""

from __future__ import annotations

import errno

from minirt.kernel import libc
from minirt.kernel.steps import step

_JOIN_SESSION_KEYRING = 1  # include/uapi/linux/keyctl.h


def leave_session_keyring() -> None:
    """Begin a new, empty session keyring; a kernel without key store needs none.

    The session keyring follows a process through fork(2) and execve(2), whatever namespaces
    it enters: with the old one go its keys (for encrypted disks, Kerberos, …). The new one has no
    name, since who knows the name of a keyring can ask to join it.
    """
    with step("begin an empty session keyring", "keyctl", "new_session"):
        try:
            libc.syscall("keyctl", _JOIN_SESSION_KEYRING, None)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
                raise
