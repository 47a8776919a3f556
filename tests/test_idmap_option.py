from __future__ import annotations

import pytest

from minirt.errors import InvalidRequest
from minirt.kernel.user_namespaces import IdMapping
from minirt.runtime import idmap_option
from minirt.runtime.document import Place
from minirt.runtime.spec import Mount

CONTAINER = (IdMapping(0, 100000, 1), IdMapping(1, 200000, 1000))


def read(option: str, container: tuple[IdMapping, ...] = CONTAINER) -> Mount:
    place = Place({"options": ["rbind", option]}, "mounts[0]")
    one = Mount("/x", "bind", "/y", ("rbind", option))
    return idmap_option.obeyed(one, place, container, container)


@pytest.mark.parametrize(
    ("option", "uids", "gids"),
    [
        ("idmap=uids=0-7-3;gids=0-8-2", ["0 7 3"], ["0 8 2"]),
        ("idmap=gids=0-8-2;uids=0-7-3", ["0 7 3"], ["0 8 2"]),
        ("idmap=uids=0-1-10#10-11-10;gids=0-100-10", ["0 1 10", "10 11 10"], ["0 100 10"]),
        ("idmap=uids=@0-5-1;gids=@9-0-1", ["0 200004 1"], ["9 100000 1"]),
        ("idmap=uids=@7-0-3;gids=0-0-1", ["7 100000 1", "8 200000 2"], ["0 0 1"]),
        ("idmap=uids=@0-1000-9;gids=0-0-1", ["0 200999 1"], ["0 0 1"]),
    ],
)
def test_mappings_are_read_as_crun_reads_them(
    option: str, uids: list[str], gids: list[str]
) -> None:
    found = read(option)
    assert found.options == ("rbind", "idmap")
    assert [str(line) for line in found.uid_mappings] == uids
    assert [str(line) for line in found.gid_mappings] == gids


@pytest.mark.parametrize("option", ["idmap", "ridmap", "idmap=", "ridmap="])
def test_without_mappings_it_means_those_of_the_container(option: str) -> None:
    found = read(option)
    assert found.options == ("rbind", option.rstrip("="))
    assert not found.uid_mappings


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("idmap=foo=0-7-3", r"mounts\[0\].options\[1\] has 'foo', which is neither uids nor gids"),
        ("idmap=uids=0-7;gids=0-8-2", "has '0-7', which is not of the form"),
        ("idmap=uids=0-7-3#;gids=0-8-2", "has '', which is not of the form"),
        ("idmap=uids=0-7-0;gids=0-8-2", "is empty"),
        ("idmap=uids=0-4294967295-1;gids=0-8-2", "beyond the last id"),
        ("idmap=uids=@0-2000-1;gids=0-8-2", "ids that the container's user namespace does not"),
    ],
)
def test_what_is_wrong_is_named(option: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        read(option)


def test_relative_mappings_need_a_user_namespace() -> None:
    with pytest.raises(InvalidRequest, match="has '@', and the config has no mappings"):
        read("idmap=uids=@0-5-1;gids=@0-5-1", ())
