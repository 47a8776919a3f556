"""Which containers there are, and whether they live: asked of files and locks, never stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minirt.container import alive, names, record
from minirt.container.record import LastRun, Record
from minirt.errors import Conflict, InvalidRequest, MinirtError, NotFound
from minirt.kernel import cgroups, processes
from minirt.kernel.cgroups import Cgroup
from minirt.state import names_in, root_dir

SHORT = 12  # digits of an id in lists, as Docker prints them
KILLED = 137  # 128 + SIGKILL: what becomes of a container whose monitor was killed


def all_records() -> list[Record]:
    """Return every container, the newest first.

    What is half made or half removed is not there, and neither is a ``--rm`` container whose
    monitor was killed: the next command that changes anything sweeps them.
    """
    found = [one for one in _readable() if not is_leftover(one)]
    return sorted(found, key=lambda one: one.created, reverse=True)


def find(reference: str) -> Record:
    """Return the container of that name, id, or unique beginning of an id.

    Raises NotFound; MinirtError if its record was damaged.
    """
    name = reference.removeprefix("/")  # "inspect" shows names with a slash, as Docker does.
    container_id = names.owner(name) if "/" not in name else ""
    candidates = [container_id] if container_id else _ids_that_begin_with(reference)
    for one in candidates:
        try:
            found = record.load(one)
        except FileNotFoundError:
            continue
        except record.DAMAGED as error:
            place, remedy = record.directory(one), "Its files are there; remove them to forget it."
            what = f"The record of container {reference} is damaged"
            raise MinirtError(what, f"{place}/record.json", remedy) from error
        if len(candidates) > 1:
            raise InvalidRequest(f"{reference} could be several containers", "give more digits")
        if not is_leftover(found):
            return found
    raise NotFound(f"No such container: {reference}", remedy="'minirt ps -a' lists them.")


def _ids_that_begin_with(digits: str) -> list[str]:
    if not digits or set(digits) - set("0123456789abcdef"):
        return []
    return [one for one in names_in(root_dir() / "containers") if one.startswith(digits)]


def find_running(reference: str) -> Record:
    """Return a container that lives. Raises NotFound, Conflict."""
    found = find(reference)
    if not alive.is_held(found.id):
        raise Conflict(
            f"Container {reference} is not running", "", f"Start it: minirt start {found.name}"
        )
    return found


def status(one: Record) -> str:
    """Return "created", "running", "paused" or "exited"."""
    if alive.is_held(one.id):
        return "paused" if group_of(one).is_frozen() else "running"
    return "exited" if record.load_last(one.id).started else "created"


def group_of(one: Record) -> Cgroup:
    """Name the cgroup of its processes, which is there while it lives."""
    return cgroups.find(record.cgroup_name(one.id, one.host))


def is_paused(one: Record) -> bool:
    """Say whether it lives, and stands still."""
    return status(one) == "paused"


def last_run(one: Record) -> LastRun:
    """Return its last run, with the exit code 137 if its monitor was killed."""
    last = record.load_last(one.id)
    if last.started and not last.finished and not alive.is_held(one.id):
        why = last.error or "its monitor was killed"
        return LastRun(last.started, last.started, KILLED, error=why)
    return last


def init_of(one: Record) -> tuple[int, int] | None:
    """Return the pid of a living container's init and its time of birth (clock ticks)."""
    state = alive.state(one.id)
    return (int(state["pid"]), int(state["born"])) if state else None


def open_monitor(one: Record) -> int | None:
    """Open a descriptor that names a living container's monitor, pidfd_open(2)."""
    state = alive.state(one.id)
    try:
        return processes.open_pidfd(state["monitor"], state["monitor_born"]) if state else None
    except ProcessLookupError:
        return None


def is_leftover(one: Record) -> bool:
    """Say whether nobody but the sweep should see this container any more."""
    if names.owner(one.name) != one.id and not _is_renamed(one):
        return True
    return dies_with_its_monitor(one) and not alive.is_held(one.id)


def _is_renamed(one: Record) -> bool:
    """Say whether it has got another name since its record was read."""
    try:
        now = record.load(one.id)
    except FileNotFoundError:
        return False
    return now.name != one.name and names.owner(now.name) == one.id


def dies_with_its_monitor(one: Record) -> bool:
    """Say whether nothing of it is to be left when it does not live.

    So it is with ``--rm``, and with what ``run`` has made but not started yet.
    """
    if not one.host.auto_remove and not one.by_run:
        return False
    last = record.load_last(one.id)
    if last.is_restarting:
        return False
    return one.host.auto_remove if last.started else one.by_run


def is_removed(one: Record) -> bool:
    """Say whether the container was removed since its record was read."""
    return not (record.directory(one.id) / "record.json").exists()


def check_is_there(one: Record) -> None:
    """Raise NotFound if the container was removed since its record was read."""
    if is_removed(one):
        what = f"No such container: {one.name}"
        raise NotFound(what, "it has just been removed", "'minirt ps -a' lists containers.")


def has_ended(one: Record) -> bool:
    """Say whether the container's init is dead or dying; its monitor may still free resources.

    A dying process loses its namespaces before its pidfd says that it is dead (exit(2)).
    """
    init = init_of(one)
    return init is None or not Path(f"/proc/{init[0]}/ns/mnt").exists()


@contextmanager
def reporting_its_end(one: Record, what: str) -> Iterator[None]:
    """Raise Conflict if the body fails because the container has ended or was removed meanwhile.

    ``what`` is the first half of the sentence: "Cannot run a command in web". A container can
    end between any two system calls, which then fail in ways that tell the user nothing.
    """
    was_running = alive.is_held(one.id)
    try:
        yield
    except (OSError, MinirtError) as error:
        if isinstance(error, Conflict) or getattr(error, "exit_code", None) is not None:
            raise
        check_is_there(one)
        if not was_running or not has_ended(one):
            raise
        raise Conflict(what, "it has just ended") from None


def is_starting(container_id: str) -> bool:
    """Say whether a container is being started by ``run``, or that is just being undone."""
    try:
        return record.load(container_id).by_run and not _has_started(container_id)
    except FileNotFoundError:
        return True


def _has_started(container_id: str) -> bool:
    return bool(record.load_last(container_id).started)


def _readable() -> Iterator[Record]:
    folder = root_dir() / "containers"
    for place in folder.iterdir() if folder.exists() else ():
        try:
            yield record.load(place.name)
        except (FileNotFoundError, NotADirectoryError, *record.DAMAGED):
            continue  # Being made, being removed, or damaged.
