"""Which maps of ids a config.json may have, and how the others are named."""

from __future__ import annotations

from typing import Any

import pytest

from minirt.errors import InvalidRequest
from minirt.kernel.user_namespaces import HIGHEST, IdMapping, outside_of
from minirt.runtime import mapping_reader, reader
from minirt.runtime.document import Place


def line(inside: object, host: object, size: object) -> dict[str, object]:
    return {"containerID": inside, "hostID": host, "size": size}


def read(*lines: dict[str, object]) -> tuple[IdMapping, ...]:
    return mapping_reader.mappings(Place(list(lines), "linux.uidMappings"))


def config(**linux: Any) -> dict[str, Any]:
    namespaces = linux.pop("namespaces", [{"type": "mount"}, {"type": "user"}])
    mounts = linux.pop("mounts", [])
    return {
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/"},
        "mounts": mounts,
        "linux": {"namespaces": namespaces, **linux},
    }


def test_lines_are_read_in_their_order() -> None:
    assert read(line(0, 100, 10), line(10, 500, 1)) == (
        IdMapping(0, 100, 10),
        IdMapping(10, 500, 1),
    )
    assert mapping_reader.mappings(Place(None, "x")) == ()
    assert read(line(0, 0, HIGHEST + 1))[0].size == HIGHEST + 1


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([line(0, 100, 0)], r"linux.uidMappings\[0\].size is 0"),
        ([line(-1, 100, 1)], r"linux.uidMappings\[0\].containerID is -1"),
        ([line(0, HIGHEST + 1, 1)], r"linux.uidMappings\[0\].hostID is"),
        ([line(0, "100", 1)], r"linux.uidMappings\[0\].hostID is not a whole number"),
        ([{"containerID": 0, "size": 1}], r"linux.uidMappings\[0\].hostID is missing"),
        ([line(0, HIGHEST, 2)], r"linux.uidMappings\[0\] goes beyond .* from its hostID on"),
        ([line(5, 0, HIGHEST)], r"linux.uidMappings\[0\] goes beyond .* from its containerID on"),
        ([line(0, 100, 10), line(9, 500, 1)], r"\[1\] maps a containerID that .*\[0\] maps too"),
        ([line(0, 100, 10), line(20, 109, 1)], r"\[1\] maps a hostID that .*\[0\] maps too"),
        ([line(9, 500, 1), line(0, 100, 10)], r"\[1\] maps a containerID that .*\[0\] maps too"),
        ([line(n, n, 1) for n in range(341)], "linux.uidMappings has more than 340 lines"),
        ([line(10**9 + n, 10**9 + n, 1) for n in range(300)], "longer than the kernel takes"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused_by_its_place(
    lines: list[dict[str, object]], named: str
) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(*lines)


ONE = [line(0, 100, 10)]
IDMAP = {"destination": "/x", "type": "bind", "source": "/x", "options": ["idmap"]}


@pytest.mark.parametrize(
    ("linux", "named"),
    [
        ({}, "needs linux.uidMappings"),
        ({"uidMappings": ONE}, "needs linux.gidMappings"),
        ({"uidMappings": ONE, "gidMappings": [line(1, 100, 10)]}, "gidMappings maps no container"),
        ({"uidMappings": ONE, "namespaces": [{"type": "mount"}]}, "uidMappings is there, and no"),
        ({"gidMappings": ONE, "namespaces": [{"type": "mount"}]}, "gidMappings is there, and no"),
        ({"mounts": [IDMAP], "namespaces": [{"type": "mount"}]}, r"mounts\[0\].options has 'idmap"),
        (
            {"mounts": [{**IDMAP, "uidMappings": ONE}], "namespaces": [{"type": "mount"}]},
            r"mounts\[0\] has no gidMappings",
        ),
        (
            {
                "mounts": [{"destination": "/x", "type": "tmpfs", "options": ["ridmap"]}],
                **{"uidMappings": ONE, "gidMappings": ONE},
            },
            r"mounts\[0\] maps ids, which only a bind can",
        ),
    ],
)
def test_what_is_wrong_as_a_whole_is_refused(linux: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        reader.read(config(**linux))


@pytest.mark.parametrize("kinds", [[], [{"type": "mount", "path": "/proc/1/ns/mnt"}]])
def test_a_user_namespace_needs_a_new_mount_namespace(kinds: list[dict[str, str]]) -> None:
    both = {"uidMappings": ONE, "gidMappings": ONE}
    with pytest.raises(InvalidRequest, match="user namespace without a new mount namespace"):
        reader.read(config(namespaces=[*kinds, {"type": "user"}], **both))


def test_what_is_right_is_taken() -> None:
    both = {"uidMappings": ONE, "gidMappings": ONE}
    assert reader.read(config(**both)).has_own_ids
    own = {**IDMAP, "options": [], **both}
    found = reader.read(config(mounts=[own], namespaces=[{"type": "mount"}]))
    assert found.mounts[0].is_idmapped
    assert not found.has_own_ids
    joined = {"type": "user", "path": "/proc/1/ns/user"}
    found = reader.read(config(mounts=[IDMAP], namespaces=[{"type": "mount"}, joined]))
    assert found.has_own_ids


def test_an_id_outside() -> None:
    mapped = read(line(0, 100, 10), line(50, 7, 1))
    assert [outside_of(one, mapped) for one in (0, 9, 10, 50, 51)] == [100, 109, None, 7, None]
