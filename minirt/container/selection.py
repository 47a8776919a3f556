"""``--filter`` of ``ps``: which containers to list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from minirt.container import lifecycle, list_filters, listing
from minirt.container.record import Record
from minirt.errors import InvalidRequest

Test = Callable[[Record, str], bool]
STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")


def kept(records: Iterable[Record], filters: Iterable[str]) -> list[Record]:
    """Return the containers that pass the filters: of one key any, of every key one.

    Raises InvalidRequest, NotFound.
    """
    match = matcher(filters)
    return [one for one in records if match(one)]


def matcher(filters: Iterable[str]) -> Callable[[Record], bool]:
    """Return a test for containers: of one key any value will do, of several keys all must.

    Raises InvalidRequest.
    """
    wanted = list_filters.parse(filters, TESTS)
    _check(wanted)
    return lambda one: all(_passes(one, key, values) for key, values in wanted.items())


def _passes(one: Record, key: str, values: list[str]) -> bool:
    choose = all if list_filters.needs_all(key) else any
    return choose(TESTS[key](one, value) for value in values)


def _check(wanted: list_filters.Filters) -> None:
    for value in wanted.get("status", []):
        if value not in STATES:
            known = ", ".join(STATES)
            raise InvalidRequest(f"Invalid filter 'status={value}'", "", f"There are: {known}.")
    for value in wanted.get("exited", []):
        if not re.fullmatch(r"-?\d+", value):
            raise InvalidRequest(f"Invalid filter 'exited={value}'", "it is not an exit code")
    for value in wanted.get("name", []):
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidRequest(f"Invalid filter 'name={value}'", str(error)) from None


def _name(one: Record, value: str) -> bool:
    """Look for a part of the name, or a pattern; Docker's names may begin with a slash."""
    return bool(re.search(value, one.name) or re.search(value, f"/{one.name}"))


def _label(one: Record, value: str) -> bool:
    key, equals, wanted = value.partition("=")
    return key in one.config.labels and (not equals or one.config.labels[key] == wanted)


def _ancestor(one: Record, value: str) -> bool:
    named = value if ":" in value.rpartition("/")[2] else f"{value}:latest"
    image = one.image if ":" in one.image.rpartition("/")[2] else f"{one.image}:latest"
    by_id = re.fullmatch("(sha256:)?[0-9a-f]{6,64}", value)
    digits = value.removeprefix("sha256:")
    return named == image or bool(by_id and one.image_id.removeprefix("sha256:").startswith(digits))


def _network(one: Record, value: str) -> bool:
    ids = [request.network_id for request in one.endpoints]
    return value in listing.networks(one) or any(value and i.startswith(value) for i in ids)


def _exited(one: Record, value: str) -> bool:
    has_ended = lifecycle.status(one) == "exited"
    return has_ended and lifecycle.last_run(one).exit_code == int(value)


def _volume(one: Record, value: str) -> bool:
    return any(value in (mount.name, mount.destination) for mount in one.mounts)


TESTS: dict[str, Test] = {
    "id": lambda one, value: one.id.startswith(value),
    "name": _name,
    "label": _label,
    "status": lambda one, value: lifecycle.status(one) == value,
    "exited": _exited,
    "ancestor": _ancestor,
    "network": _network,
    "volume": _volume,
}
