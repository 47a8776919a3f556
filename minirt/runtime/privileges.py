"""From root to what the command may be: the last steps before execve(2).

The order is forced by the kernel:

    seccomp, without no_new_privs   needs CAP_SYS_ADMIN, which is about to go
    bounding set                    needs CAP_SETPCAP
    keep capabilities               or the change of user clears the permitted set
    groups, group, user             each needs what the next takes away
    capability sets, ambient        lowering needs nothing
    no_new_privs
    seccomp, with no_new_privs      last: what it forbids was still needed above
"""

from __future__ import annotations

import os

import prctl

from minirt.kernel import capabilities, libc, seccomp
from minirt.kernel.steps import Shell, step
from minirt.runtime.filters import Filters
from minirt.runtime.spec import Process


def drop(process: Process, filters: Filters, *, hides: bool = False) -> None:
    """Take the user, the groups and the capabilities of ``process``, and no way back.

    If it ``hides``, the next execve(2) leaves the process not dumpable, so that nobody can trace
    the program that follows.

    All that can be computed is computed first, since the seccomp program may forbid
    whatever it likes; the caller goes straight on to execve(2). Raises OSError.
    """
    user, sets = process.user, sets_of(process)
    groups = None if user.keeps_groups else list(dict.fromkeys(user.additional_gids))
    programs = [seccomp.prepare(one) for one in filters.programs]
    if programs and not process.no_new_privileges:
        filters.load(programs)
    capabilities.limit_bounding(sets.bounding)
    capabilities.keep_across_setuid(True)
    if sets.ambient and user.gid not in (os.getgroups() if groups is None else groups):
        # With another group for files, and its own in no list, Linux takes execve(2) for that of a
        # set-group-ID program, and clears the ambient set (capabilities(7); seen with 6.18).
        hides = False
    become(user.uid, user.gid, groups, _another(user.gid) if hides else None)
    capabilities.keep_across_setuid(False)
    capabilities.set_sets(sets)
    if process.no_new_privileges:
        with step("never gain privileges again", "setpriv", "--no-new-privs", Shell('"$@"')):
            prctl.set_no_new_privs(1)
        if programs:
            filters.load(programs)


def become(uid: int, gid: int, groups: list[int] | None, fsgid: int | None = None) -> None:
    """Take these ids; the caller's groups stay only if ``groups`` is None."""
    supplementary = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    if groups is None:
        supplementary = "--keep-groups"
    words = (f"--reuid={uid}", f"--regid={gid}", supplementary)
    with step("become the user", "setpriv", *words, Shell('"$@"')):
        libc.become(uid, gid, groups, fsgid)


def _another(gid: int) -> int:
    """Return a group for files, setfsgid(2), that is not ``gid``.

    execve(2) sets that group back to the effective one, and a process whose group for files changes
    there is not dumpable from the first instruction of its new program on: commit_creds() of the
    kernel's kernel/cred.c. (With fs.suid_dumpable=1, a setting for debuggers, it is.) A group that
    the user namespace does not map changes nothing.
    """
    return 0 if gid else 1


def sets_of(process: Process) -> capabilities.Sets:
    """Return the capability sets of ``process``, without what this process can't give.

    A user who is not root still gets all that was asked: execve(2) leaves it the ambient set only
    (capabilities(7), "Transformation of capabilities during execve()").
    """
    asked, own = process.capabilities, capabilities.bounding()
    return capabilities.Sets(
        bounding=capabilities.mask(asked.bounding) & own,
        effective=capabilities.mask(asked.effective) & own,
        permitted=capabilities.mask(asked.permitted) & own,
        inheritable=capabilities.mask(asked.inheritable) & own,
        ambient=capabilities.mask(asked.ambient) & own,
    )
