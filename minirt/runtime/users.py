"""Who "-u nobody:www" is, by the passwd(5) and group(5) of a root file system.

Those files belong to the image: they may be FIFOs, devices, endless, or links to the host's.
So they are opened beneath the root without waiting, must be regular and small, and are
parsed here: getpwnam(3) would load the image's own libraries into this process.

The rules are Docker's. A number always means an id. A user that passwd lists brings its group,
its home and its supplementary groups; an explicit group replaces all the groups; a number
that is not listed is fine, with group 0 and home "/". The first line that fits wins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minirt.errors import InvalidRequest
from minirt.kernel import bounded_read
from minirt.kernel.beneath import open_beneath

HIGHEST = 2**31 - 1  # Docker's limit: above it some tools read a negative number
LARGEST_FILE = 1 << 20  # bytes
_NUMBER = re.compile(r"[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class User:
    """The ids that a process is to have, and its home."""

    uid: int
    gid: int
    additional_gids: tuple[int, ...]  # gid first
    home: str


@dataclass(frozen=True, slots=True)
class Account:
    """A line of passwd."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class Group:
    """A line of group."""

    name: str
    gid: int
    members: tuple[str, ...]


def resolve(root_fd: int, text: str, group_add: Iterable[str] = ()) -> User:
    """Resolve "user[:group]" beneath the root file system ``root_fd``.

    ``group_add`` are names or numbers of further groups. Raises InvalidRequest.
    """
    passwd = parse_passwd(_read(root_fd, "etc/passwd"))
    group = parse_group(_read(root_fd, "etc/group"))
    return find(text, list(passwd), list(group), group_add)


def find(
    text: str, accounts: list[Account], groups: list[Group], group_add: Iterable[str] = ()
) -> User:
    """Find "user[:group]" among what the two files say. Raises InvalidRequest."""
    user_text, _, group_text = text.partition(":")
    account = _find_account(user_text or "0", accounts)
    gid, further = account.gid, [one.gid for one in groups if account.name in one.members]
    if group_text:
        gid, further = find_group(group_text, groups), []
    further += [find_group(one, groups) for one in group_add]
    return User(account.uid, gid, tuple(dict.fromkeys([gid, *further])), account.home or "/")


def find_group(text: str, groups: list[Group]) -> int:
    """Return the id of a group, by its name or as a number. Raises InvalidRequest."""
    number = _number(text, f"group {text}")
    if number is not None:
        return number
    for one in groups:
        if one.name == text:
            return one.gid
    what = f"unable to find group {text}"
    raise InvalidRequest(what, "no matching entries in group file")


def parse_passwd(text: str) -> Iterator[Account]:
    """Yield the lines of passwd(5) that make sense."""
    for fields in _lines(text):
        if len(fields) == 7 and fields[0] and _is_id(fields[2]) and _is_id(fields[3]):
            yield Account(fields[0], int(fields[2]), int(fields[3]), fields[5])


def parse_group(text: str) -> Iterator[Group]:
    """Yield the lines of group(5) that make sense."""
    for fields in _lines(text):
        if len(fields) == 4 and fields[0] and _is_id(fields[2]):
            members = tuple(name for name in fields[3].split(",") if name)
            yield Group(fields[0], int(fields[2]), members)


def _find_account(text: str, accounts: list[Account]) -> Account:
    number = _number(text, f"user {text}")
    for one in accounts:
        if one.uid == number if number is not None else one.name == text:
            return one
    if number is not None:
        return Account("", number, 0, "/")
    what = f"unable to find user {text}"
    raise InvalidRequest(what, "no matching entries in passwd file")


def _number(text: str, what: str) -> int | None:
    """Return the number in ``text``, None if it is a name. Raises InvalidRequest."""
    if not _NUMBER.fullmatch(text):
        return None
    if not _is_id(text):
        raise InvalidRequest(f"There is no {what}", f"ids go from 0 to {HIGHEST}")
    return int(text)


def _is_id(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and len(text) <= 10 and int(text) <= HIGHEST


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        if not line.lstrip().startswith("#"):
            yield [field.strip() for field in line.split(":")]


def _read(root_fd: int, path: str) -> str:
    """Read a file of the image, "" if it has none. Raises InvalidRequest."""
    try:
        fd = open_beneath(root_fd, path, bounded_read.OPEN)
        try:
            content = bounded_read.whole_content(fd, LARGEST_FILE)
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InvalidRequest(f"Cannot read /{path} of the image", error.strerror or "") from error
    return content.decode("utf-8", "surrogateescape")
