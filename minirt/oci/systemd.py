"""Cgroups that systemd makes: a transient scope for each container (systemd.scope(5)).

systemd is asked over its own socket, where it listens to root alone, without a bus between.
A scope can't be empty, and who asks for one from another PID namespace can name no process in
systemd's numbers. So a *placeholder* asks, a child of ours: "0" is whoever asks. It stays in the
scope until init is born there; should we die, it goes, and systemd removes the empty scope.

Source: org.freedesktop.systemd1(5); config-linux.md, "Cgroups Path"; the form slice:prefix:name
is runc's.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirt import errors
from minirt.errors import Conflict, InvalidRequest, MinirtError, in_quotes
from minirt.kernel import clone, dbus, descriptors, processes
from minirt.kernel.steps import step

_RUNNING = Path("/run/systemd/system")  # sd_booted(3)
_SOCKET = "/run/systemd/private"
_MANAGER = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_GET = ("org.freedesktop.DBus.Properties", "Get", "ss")
_STARTED = b"started"
_NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
_UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"

Property = tuple[str, tuple[str, Any]]  # name, and what D-Bus calls a variant


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope's name, its slice, and what it says of itself: by that we know it as ours."""

    unit: str
    slice: str
    description: str

    @property
    def group(self) -> str:
        """The path of its cgroup: slices nest by the dashes in their names (systemd.slice(5))."""
        words = [] if self.slice == "-.slice" else self.slice.removesuffix(".slice").split("-")
        nested = ["-".join(words[: depth + 1]) + ".slice" for depth in range(len(words))]
        return "/" + "/".join([*nested, self.unit])


def scope_for(path: str, identifier: str, description: str) -> Scope:
    """Read a cgroupsPath of the form slice:prefix:name. Raises InvalidRequest."""
    if not _RUNNING.is_dir():
        why = "cannot use systemd cgroups manager"
        remedy = "Use cgroupfs: leave --systemd-cgroup out."
        raise InvalidRequest("systemd not running on this host", why, remedy)
    parts = path.split(":") if path else ["system.slice", "minirt", identifier]
    if len(parts) != 3 or not parts[2]:
        what = "expected cgroupsPath to be of format 'slice:prefix:name' for systemd cgroups"
        raise InvalidRequest(what, f"got {in_quotes(path)} instead")
    inside = parts[0] or "system.slice"
    middle = inside.removesuffix(".slice")
    words = middle.split("-")
    if inside != "-.slice" and ("/" in inside or inside == middle or not all(words)):
        raise InvalidRequest(
            f"linux.cgroupsPath is {in_quotes(path)}", f"{in_quotes(inside)} is no name of a slice"
        )
    unit = "-".join(part for part in parts[1:] if part) + ".scope"
    if "/" in unit or len(unit) > 255:
        raise InvalidRequest(
            f"linux.cgroupsPath is {in_quotes(path)}", f"{in_quotes(unit)} is no name of a scope"
        )
    return Scope(unit, inside, description)


@contextmanager
def started(scope: Scope, properties: list[Property]) -> Iterator[None]:
    """Have the scope, with a placeholder in it during the body. Raises MinirtError.

    Conflict says that there is one of this name already.
    """
    ours, theirs = map(_high, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    with step("let systemd make the cgroup", "systemd-run", "--scope", "--unit", scope.unit,
              "--slice", scope.slice, "-p", "Delegate=yes", "sleep", "infinity"):  # fmt: skip
        try:
            child = clone.clone(lambda: _hold(scope, properties, theirs, ours))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        pidfd = descriptors.high(child.pidfd)
        try:
            answer = ours.recv(1 << 16)
            if answer != _STARTED:
                raise errors.unpack(answer) if answer else MinirtError("systemd was not asked")
        except BaseException:
            _leave(ours, pidfd)
            raise
    try:
        yield
    finally:
        _leave(ours, pidfd)


def stop(unit: str, description: str) -> None:
    """Stop the scope and forget it; no error if it has gone, or is another's of that name."""
    with step("let systemd remove the cgroup", "systemctl", "stop", unit), _connected() as bus:
        try:
            (path,) = bus.call(*_MANAGER, "GetUnit", "s", unit)
            (found,) = bus.call(path, *_GET, "org.freedesktop.systemd1.Unit", "Description")
            if found == description:
                (job,) = bus.call(*_MANAGER, "StopUnit", "ss", unit, "replace")
                _await(bus, job, unit)
                bus.call(*_MANAGER, "ResetFailedUnit", "s", unit)
        except dbus.Refused as error:
            if error.name not in (_NO_SUCH_UNIT, "org.freedesktop.DBus.Error.UnknownObject"):
                raise _explained(f"cannot stop {unit}", error) from error


def update(unit: str, properties: list[Property]) -> None:
    """Tell systemd of other limits, or it would go back to the old ones when it is reloaded."""
    words = [f"{name}={value}" for name, (_, value) in properties]
    with step("tell systemd the limits", "systemctl", "set-property", "--runtime", unit, *words):
        try:
            with _connected() as bus:
                signature = "sba(sv)"
                bus.call(*_MANAGER, "SetUnitProperties", signature, unit, True, properties)
        except dbus.Refused as error:
            raise _explained(f"cannot set the limits of {unit}", error) from error


def _hold(
    scope: Scope, properties: list[Property], line: socket.socket, other: socket.socket
) -> int:
    """Ask for the scope, and stay in it until the parent closes its end of the line, or dies."""
    other.close()
    try:
        _start(scope, properties)
    except Exception as error:  # It can't go up: this process has no callers.
        line.send(errors.pack(_explained(f"cannot make {scope.unit}", error)))
        return 1
    line.send(_STARTED)
    line.recv(1)
    return 0


def _start(scope: Scope, properties: list[Property]) -> None:
    own: list[Property] = [
        ("Description", ("s", scope.description)),
        ("Slice", ("s", scope.slice)),
        ("Delegate", ("b", True)),
        ("PIDs", ("au", [0])),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    words: tuple[Any, ...] = (scope.unit, "replace", [*own, *properties], [])
    with _connected() as bus:
        for last in (False, True):
            try:
                (job,) = bus.call(*_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", *words)
            except dbus.Refused as error:
                if last or error.name != _UNIT_EXISTS:
                    raise
                bus.call(*_MANAGER, "ResetFailedUnit", "s", scope.unit)  # It may be long dead.
            else:
                _await(bus, job, scope.unit)
                return


def _await(bus: dbus.Connection, job: str, unit: str) -> None:
    """Wait for the end of a job."""
    for _, path, _, result in bus.signals("JobRemoved"):
        if path == job:
            if result != "done":
                raise MinirtError(
                    f"systemd was asked for {unit}", f"its answer is {in_quotes(result)}"
                )
            return


def _connected() -> dbus.Connection:
    return dbus.Connection(_SOCKET)


def _leave(line: socket.socket, pidfd: int) -> None:
    """Let the placeholder go, and wait until it has."""
    line.close()
    processes.collect(pidfd)
    os.close(pidfd)


def _high(end: socket.socket) -> socket.socket:
    return socket.socket(fileno=descriptors.high(end.detach()))


def _explained(what: str, error: Exception) -> MinirtError:
    if isinstance(error, MinirtError):
        return error
    if isinstance(error, OSError):
        return errors.kernel_refused(f"{what}: systemd is not in reach", error)
    if not isinstance(error, dbus.Refused):
        return MinirtError(what, repr(error))
    kind = Conflict if error.name == _UNIT_EXISTS else MinirtError
    return kind(what, f"systemd says: {error.text or error.name}")
