"""The state of containers on disk, as small files.

    ROOT/ID/                 one container; its name is claimed by mkdir(2)
            state.json       what the kernel doesn't know; see :class:`Record`
            config.json      a copy: later changes of the bundle's have no effect
            start.sock       the gate; gone when the container has been started
            lock             held by who creates it
            notify/          the socket by which the container says that it is ready

Folders are 0700 and files 0600, whatever the umask: config.json has the environment. A container
with a user namespace, whose root is no root here, gets the gate and ``notify`` by descriptor and by
mount, so it never walks through these folders (runc's are 0711, because its init does).

Whether it runs isn't written anywhere: the process table says so (``lifecycle``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minirt.errors import Conflict, InvalidRequest, NotFound, in_quotes
from minirt.kernel import locks
from minirt.state import made, private, read_json, write_json

_ID = re.compile(r"[\w+-][\w+.-]*", re.ASCII)
_LONGEST = 1024
_root = Path()


@dataclass(frozen=True, slots=True)
class Record:
    """A container. ``pid`` is 0 until its init is born; ``born`` tells it from a successor."""

    id: str
    bundle: str
    rootfs: str
    created: str
    oci_version: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    born: int = 0  # ``processes.start_time`` of init
    cgroup: str = ""  # as ``kernel.cgroups.find`` wants it
    made: tuple[str, ...] = ()  # which of its folders were made for it
    unit: str = ""  # the scope of systemd's that the group belongs to

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return folder_of(self.id)

    @property
    def gate(self) -> Path:
        """Where init waits for the start."""
        return self.folder / "start.sock"

    @property
    def notify(self) -> Path:
        """Where the socket is by which it says that it is ready; none if nobody wants to know."""
        return self.folder / "notify"

    @property
    def description(self) -> str:
        """What its scope says of itself."""
        return f"minirt-oci {self.folder}"

    def config(self) -> Any:
        """Read the copy of config.json."""
        return read_json(self.folder / "config.json")


def use_root(path: str) -> None:
    """Keep the state below ``path``."""
    global _root
    _root = Path(path).absolute()


def root() -> Path:
    """Return where the state is kept."""
    return _root


def check_id(text: str) -> str:
    """Return the ID if a container may have it. Raises InvalidRequest."""
    if _ID.fullmatch(text) and len(text) <= _LONGEST:
        return text
    wrong = next((one for one in text if not re.match(r"[\w+.-]", one, re.ASCII)), "")
    why = f"invalid character {in_quotes(wrong)}" if wrong else "invalid form"
    raise InvalidRequest(f"invalid container ID {in_quotes(text)}", f"{why} for a container ID")


def folder_of(identifier: str) -> Path:
    """Return the folder of a container."""
    return _root / check_id(identifier)


def claim(identifier: str) -> int:
    """Make the folder; return the held lock of its creator. Raises Conflict."""
    folder = folder_of(identifier)
    made(_root)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise Conflict(f"container with given ID already exists: {identifier}") from None
    from minirt.kernel import descriptors

    try:
        return descriptors.high(locks.acquire(folder / "lock"))
    except BaseException:
        remove(identifier)
        raise


def is_being_created(identifier: str) -> bool:
    """Say whether its creator lives, and is not done."""
    return locks.is_held(folder_of(identifier) / "lock")


def save(record: Record) -> None:
    """Write state.json."""
    write_json(record.folder / "state.json", asdict(record), durable=False)


def keep_config(record: Record, text: bytes) -> None:
    """Write the copy of config.json."""
    with open(record.folder / "config.json", "wb", opener=private) as file:
        file.write(text)


def load(identifier: str) -> Record:
    """Read a container's record. Raises NotFound."""
    try:
        document = read_json(folder_of(identifier) / "state.json")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFound(f"container {in_quotes(identifier)} does not exist") from None
    return Record(**{**document, "made": tuple(document["made"])})


def every() -> Iterator[Record]:
    """Return all containers, by their IDs; of what is half-made or half-gone, nothing."""
    try:
        names = sorted(one.name for one in _root.iterdir())
    except FileNotFoundError:
        return
    for name in names:
        try:
            yield load(name)
        except (NotFound, InvalidRequest):
            continue


def chosen(text: str, *, by_regex: bool) -> list[Record]:
    """Return the container with an ID, or all whose ID fits a regular expression.

    Raises NotFound, InvalidRequest.
    """
    if not by_regex:
        return [load(text)]
    try:
        return [one for one in every() if re.search(text, one.id)]
    except re.error as error:
        raise InvalidRequest(f"invalid regular expression {in_quotes(text)}", str(error)) from error


def remove(identifier: str) -> None:
    """Remove the folder of a container; no error if it has gone. state.json goes last."""
    folder = folder_of(identifier)
    try:
        files = list(folder.iterdir())
    except FileNotFoundError:
        return
    for file in sorted(files, key=lambda file: file.name in ("state.json", "lock")):
        if file.name == "notify":
            _remove_notify(file)
        else:
            file.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except FileNotFoundError:
        return


def _remove_notify(folder: Path) -> None:
    try:
        for socket in folder.iterdir():
            socket.unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        pass  # Somebody else removes it as well.
