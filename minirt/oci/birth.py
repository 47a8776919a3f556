"""The making of a container: what ``create`` and ``run`` have in common.

    claim the ID  →  read the config  →  cgroup  →  init  →  console, PID file  →  it may start

All is written to state.json before it is made, so that ``delete --force`` finds it, wherever
this process is killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from minirt.errors import InvalidRequest, MinirtError
from minirt.kernel import output_files, processes
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.oci import (
    console,
    crun_annotations,
    file_streams,
    json_file,
    lifecycle,
    log,
    placing,
    records,
)
from minirt.oci.records import Record
from minirt.oci.words import Asked
from minirt.runtime import create, mount_sources, reader, spec, standard_streams
from minirt.runtime.create import Created, Setting
from minirt.runtime.spec import Spec
from minirt.state import parse_json

_ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, checked as far as that is possible beforehand."""

    asked: Asked
    bundle: Path
    text: bytes  # of config.json
    config: Mapping[str, Any]
    spec: Spec
    detached: bool  # this process leaves, and takes no part in the terminal
    handed_on: int = 0  # descriptors from 3 on that the command gets
    notifies: bool = False  # the caller wants to be told when it is ready


@contextmanager
def claimed(order: Order) -> Iterator[Record]:
    """Have the ID for the body; whatever the body had made is undone if it fails.

    Also if this process is told to end.
    """
    for number in _ENDINGS:
        signal.signal(number, _end)
    identifier = order.asked.id
    placing.check(order.spec.cgroups_path, identifier)
    lock = records.claim(identifier)
    record = Record(
        id=identifier,
        bundle=str(order.bundle),
        rootfs=str(order.bundle / order.spec.root.path),
        created=_now(),
        oci_version=str(order.config.get("ociVersion", spec.OCI_VERSION)),
        annotations=order.spec.annotations,
    )
    try:
        record = placing.note(record, order.spec.cgroups_path)
        records.keep_config(record, order.text)
        yield record
    except BaseException:
        lifecycle.destroy(_latest(record))
        raise
    finally:
        os.close(lock)


def read_order(asked: Asked, *, detached: bool) -> Order:
    """Read the bundle. Raises InvalidRequest."""
    records.check_id(asked.id)
    bundle = Path(asked.text("bundle") or ".").resolve()
    file = absolute(asked.text("config")) if asked.has("config") else bundle / "config.json"
    try:
        text = json_file.read(file)
        config = parse_json(text)
    except OSError as error:
        why = f"{file}: {os.strerror(error.errno or 0)}"
        raise InvalidRequest("JSON specification file config.json not found", why) from error
    except ValueError as error:
        raise InvalidRequest(f"{file} is no JSON", str(error)) from error
    wanted = reader.read(config)
    rootfs = bundle / wanted.root.path
    joins_mounts = bool(wanted.namespaces.get(Namespace.MOUNT))  # It may exist there alone.
    if not joins_mounts and not rootfs.is_dir():
        raise InvalidRequest(f"root.path: {rootfs}", "no such directory")
    log.unknown_capabilities(wanted.process.capabilities.unknown)
    wanted = replace(wanted, process=crun_annotations.with_groups(wanted.process, wanted))
    check_console(asked, terminal=wanted.process.terminal, detached=detached)
    wanted = mount_sources.with_sources_inside(wanted, bundle)
    handed_on = 0
    if "LISTEN_FDS" in os.environ:
        from minirt.oci import activation

        if handed_on := activation.count(os.environ, os.getpid()):
            wanted = activation.told(wanted, handed_on)
    handed_on += asked.number("preserve-fds")
    notifies = bool(os.environ.get("NOTIFY_SOCKET")) and (detached or not wanted.process.terminal)
    if notifies:
        from minirt.oci import readiness

        wanted = readiness.told(wanted, records.folder_of(asked.id) / "notify")
    return Order(asked, bundle, text, config, wanted, detached, handed_on, notifies)


def bear(order: Order, record: Record) -> tuple[Record, Created]:
    """Make the cgroup and the container in it, up to the point where only its command is missing.

    Its terminal is sent away, and its PID written, if that was asked for.
    """
    with placing.placed(record, order.spec) as group:
        return _bear_in(order, record, group)


def _bear_in(order: Order, record: Record, group: Cgroup | None) -> tuple[Record, Created]:
    if order.notifies:
        record.notify.mkdir()
        record.notify.chmod(0o755)  # whatever the umask: its users are to reach the socket
    with standard_streams.protected(None) as streams:
        return _bear_with(order, record, group, streams)


def _bear_with(
    order: Order, record: Record, group: Cgroup | None, streams: standard_streams.Streams | None
) -> tuple[Record, Created]:
    setting = Setting(
        bundle=order.bundle,
        stdio=streams,
        cgroup=group,
        keep_fds=order.handed_on,
        id=record.id,
        gate=record.gate if order.asked.verb == "create" else None,
    )
    born = record

    def on_isolated(init: Child) -> None:
        nonlocal born
        pid = processes.pid_as_seen_from_proc(init.pidfd)
        born = replace(record, pid=pid, born=processes.start_time(pid))
        records.save(born)

    created = create.create(order.spec, setting, on_isolated)
    try:
        if not order.spec.process.terminal:
            file_streams.give(order.spec.process, order.spec)
        _hand_out(order, born, created)
    except BaseException:
        create.discard(created)
        raise
    return born, created


def _hand_out(order: Order, record: Record, created: Created) -> None:
    asked = order.asked
    if created.console is not None and asked.has("console-socket"):
        console.send(asked.text("console-socket"), created.console, record.id)
    if asked.has("pidfd-socket"):
        console.send(asked.text("pidfd-socket"), created.pidfd, record.id)
    if asked.has("pid-file"):
        write_pid_file(asked.text("pid-file"), record.pid)


def write_pid_file(path: str, pid: int) -> None:
    """Write bare digits, at once: callers wait for the file and parse it strictly."""
    try:
        with output_files.replaced(absolute(path)) as file:
            file.write(str(pid).encode())
    except OSError as error:
        why = error.strerror or str(error)
        raise InvalidRequest(f"cannot write the PID file {path}", why) from error


def absolute(path: str) -> Path:
    """Return where a file of the caller's is: relative to its working directory."""
    return Path(path).absolute()


def check_console(asked: Asked, *, terminal: bool, detached: bool) -> None:
    """Refuse a terminal that nobody would hold, and a socket that would get none."""
    if terminal and detached and not asked.has("console-socket"):
        what = "cannot allocate tty if minirt-oci will detach without setting console socket"
        raise InvalidRequest(what)
    if asked.has("console-socket") and not (terminal and detached):
        what = "cannot use console socket if minirt-oci will not detach or allocate tty"
        raise InvalidRequest(what)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(processes.SIGNAL_BASE + number)


def _latest(record: Record) -> Record:
    """Return what state.json says by now: it may know more."""
    try:
        return records.load(record.id)
    except MinirtError:
        return record


def _now() -> str:
    seconds = time.time()
    fraction = f"{seconds % 1:.9f}"[1:].rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f"{fraction}Z"
