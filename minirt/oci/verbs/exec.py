"""``minirt-oci exec``: one more process in a container."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

from minirt.errors import Conflict, InvalidRequest, in_quotes
from minirt.kernel import processes, terminal_modes
from minirt.oci import (
    birth,
    console,
    crun_annotations,
    file_streams,
    groups,
    json_file,
    lifecycle,
    log,
    records,
)
from minirt.oci.records import Record
from minirt.oci.words import Asked
from minirt.runtime import enter, process_reader, reader, spec
from minirt.runtime.document import Place
from minirt.runtime.enter import Entered
from minirt.runtime.handshake import Interrupted
from minirt.runtime.spec import Process
from minirt.state import parse_json


def run(asked: Asked) -> int:
    """Run it; return its exit code, or 0 at once if detached."""
    record = records.load(asked.id)
    _check_status(asked, record)
    wanted = reader.read(record.config())
    process, user = wanted_process(asked, wanted.process)
    process = crun_annotations.with_groups(process, wanted)
    detached = asked.flag("detach")
    birth.check_console(asked, terminal=process.terminal, detached=detached)
    log.unknown_capabilities(process.capabilities.unknown)
    init = lifecycle.living(record)
    if not detached:
        console.hold_signals()
    if user is None and not process.terminal:
        file_streams.give(process, wanted)
    try:
        entered = enter.enter(
            init,
            record.pid,
            process,
            spec=wanted,
            user=user,
            cgroup=groups.of_process(record.cgroup, asked.texts("cgroup")),
            keep_fds=asked.number("preserve-fds"),
            state=lifecycle.hook_state(record, "running", record.pid),
            on_console=None if detached else terminal_modes.pass_newlines,
            is_interrupted=console.is_told_to_end,
        )
    except Interrupted:
        return _end_by_signal()
    finally:
        os.close(init)
    _hand_out(asked, record, entered)
    if detached:
        return 0
    # Root inside can stop the process, and the caller's signals must end it nevertheless.
    return console.accompany(entered.pidfd, entered.console, kill_if_stopped=True)


def _end_by_signal() -> int:
    """Return the exit code of the signal that was held until nothing was left to be undone."""
    held = signal.sigpending()
    return processes.SIGNAL_BASE + min(number for number in console.ENDING if number in held)


def wanted_process(asked: Asked, default: Process) -> tuple[Process, str | None]:
    """Return the process, and its user if that must be looked up. Raises InvalidRequest."""
    if asked.has("process"):
        return process_reader.process(Place(_read(asked.text("process")), "process")), None
    if not asked.words[1:]:
        raise InvalidRequest("process args cannot be empty")
    profile = process_reader.apparmor_profile(Place(asked.text("apparmor"), "--apparmor"))
    label = process_reader.selinux_label(Place(asked.text("process-label"), "--process-label"))
    process = replace(
        default,
        args=tuple(asked.words[1:]),
        cwd=asked.text("cwd") or default.cwd,
        env=_environment(asked, default),
        terminal=asked.flag("tty"),
        console_size=console.size_of_caller(),
        no_new_privileges=default.no_new_privileges or asked.flag("no-new-privs"),
        capabilities=_capabilities(asked, default),
        apparmor_profile=profile or default.apparmor_profile,
        selinux_label=label or default.selinux_label,
    )
    return _with_user(asked, process)


def _read(path: str) -> Any:
    try:
        return parse_json(json_file.read(birth.absolute(path)))
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}", os.strerror(error.errno or 0)) from error
    except ValueError as error:
        raise InvalidRequest(f"{path} is no JSON", str(error)) from error


def _environment(asked: Asked, default: Process) -> tuple[str, ...]:
    words = [*default.env, *asked.texts("env")]
    return process_reader.environment(Place(words, "process.env"))


def _capabilities(asked: Asked, default: Process) -> spec.Capabilities:
    """Add what was asked for to those sets that a command gets it from."""
    names = [name.upper() for name in asked.texts("cap")]
    names = [name if name.startswith("CAP_") else f"CAP_{name}" for name in names]
    more = tuple(names)
    sets = default.capabilities
    sets = replace(
        sets,
        bounding=sets.bounding + more,
        effective=sets.effective + more,
        permitted=sets.permitted + more,
        ambient=sets.ambient + more,  # It takes effect for those that are inheritable.
    )
    return process_reader.known_capabilities(sets)


def _with_user(asked: Asked, process: Process) -> tuple[Process, str | None]:
    """Obey --user and --additional-gids; numbers are taken as they are."""
    user, text = process.user, asked.text("user")
    more = tuple(_number(one, "additional-gids") for one in asked.texts("additional-gids"))
    if more:
        user = replace(user, additional_gids=user.additional_gids + more)
    uid, _, gid = text.partition(":")
    if text and not (uid.isdigit() and (gid.isdigit() or not gid)):
        return replace(process, user=user), text
    if text:
        user = replace(user, uid=_number(uid, "user"))
        if gid:  # As with runc, a user alone keeps the group of the config.
            user = replace(user, gid=_number(gid, "user"))
        process = replace(process, env=_without_home(process.env))
    return replace(process, user=user), None


def _without_home(environment: tuple[str, ...]) -> tuple[str, ...]:
    """Let HOME be that of the other user."""
    return tuple(word for word in environment if not word.startswith("HOME="))


def _number(text: str, option: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 1 << 31:
        return int(text)
    raise InvalidRequest(f"--{option} is {in_quotes(text)}", "it is no number of a user or group")


def _check_status(asked: Asked, record: Record) -> None:
    now = lifecycle.status(record)
    if now in ("stopped", "creating"):
        raise Conflict(f"cannot exec in a {now} container")
    if now == "paused" and not asked.flag("ignore-paused"):
        raise Conflict("cannot exec in a paused container", "", "--ignore-paused waits there.")


def _hand_out(asked: Asked, record: Record, entered: Entered) -> None:
    if entered.console is not None and asked.has("console-socket"):
        console.send(asked.text("console-socket"), entered.console, record.id)
    if asked.has("pidfd-socket"):
        console.send(asked.text("pidfd-socket"), entered.pidfd, record.id)
    if asked.has("pid-file"):
        birth.write_pid_file(asked.text("pid-file"), entered.pid)
