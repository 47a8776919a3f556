"""Standard streams that are files of the host: the user of the process may open them again.

A command like ``nginx`` opens /dev/stdout, and so asks for the rights to the file behind it. As
with runc the user becomes the owner of a regular file, and its group stays. Unlike runc and crun

* only of a file that is open for writing: whoever owns /etc/passwd may write to it, also if it was
  only given as standard input;
* not for root, which needs no such right: the file stays that of the caller's user.

Pipes and terminals are the runtime's affair (``runtime.launch``), also for root in a user
namespace.
"""

from __future__ import annotations

import fcntl
import os
import stat

from minirt.runtime.spec import Process, Spec


def give(process: Process, spec: Spec) -> None:
    """Make the user of ``process`` the owner of files that descriptors 0 to 2 write to.

    A user of a user namespace gets none, as with runc: they belong to somebody outside.
    """
    uid = process.user.uid
    if uid == 0 or spec.has_own_ids:
        return
    for fd in (0, 1, 2):
        try:
            if _is_writable_file(fd):
                os.fchown(fd, uid, -1)
        except OSError:
            continue  # It is closed, or its file system is read-only.


def _is_writable_file(fd: int) -> bool:
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    return stat.S_ISREG(os.fstat(fd).st_mode) and access != os.O_RDONLY
