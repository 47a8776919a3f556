"""Namespaces that exist already, given by their paths (config-linux.md, "Namespaces")."""

from __future__ import annotations

import os

from minirt.errors import InvalidRequest
from minirt.kernel import libc, namespaces
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step
from minirt.runtime.spec import Spec

# open(2) of a FIFO waits for a writer unless it is told not to; setns(2) then refuses the FIFO.
WITHOUT_WAITING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def join(kind: Namespace, path: str) -> None:
    """Enter an existing namespace; a PID namespace only with the next child.

    Raises InvalidRequest, also if what is at ``path`` is of another kind.
    """
    try:
        fd = os.open(path, WITHOUT_WAITING)
        try:
            with step("join a namespace", "nsenter", f"{namespaces.option(kind)}={path}"):
                libc.setns(fd, kind)
        finally:
            os.close(fd)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"Cannot join the namespace {path}", why) from error


def join_all(spec: Spec) -> None:
    """Enter all that exist, the user namespace last: inside it the way to the others is barred."""
    paths = {kind: path for kind, path in spec.namespaces.items() if path}
    for kind in sorted(paths, key=lambda kind: kind == Namespace.USER):
        join(kind, paths[kind])
