"""Which ids of the host a container gets to itself, and what that makes of its config.json."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from minirt.container import record, user_ids
from minirt.container.flags import namespaces
from minirt.container.flags.typed import Flags
from minirt.container.record import Config, HostConfig, Mount, Record
from minirt.container.user_ids import BEYOND, COUNT, FIRST, Range
from minirt.errors import Exhausted, InvalidRequest
from minirt.network import lease_folder, resolver_user


def container(mode: str, **fields: Any) -> Record:
    host = HostConfig(userns_mode=mode)
    return Record("a" * 64, "one", "", "box", "sha256:0", Config(), host, **fields)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path))
    monkeypatch.setattr(user_ids, "_delegated", lambda _file: None)
    return tmp_path


def test_none_of_them_is_a_resolvers() -> None:
    users = {resolver_user.user_of(f"net{number}") for number in range(2000)}
    assert lease_folder.GROUP < FIRST and max(users) < FIRST
    assert resolver_user._USERS + lease_folder.GROUP < FIRST
    assert BEYOND < 1 << 31


def test_who_wants_none_gets_none(run: Path) -> None:
    with ExitStack() as held:
        assert user_ids.take(container(""), held) is None
        assert user_ids.take(container("5:7"), held) == Range(5, 7)
    assert not (run / "ids").exists()


def test_each_range_is_held_by_one_and_given_back(run: Path) -> None:
    with ExitStack() as held, ExitStack() as others:
        taken = [user_ids.take(container("private"), held) for _ in range(3)]
        assert [one.first for one in taken if one] == [FIRST, FIRST + COUNT, FIRST + 2 * COUNT]
        (run / "ids" / str(FIRST + 3 * COUNT)).touch()  # of a monitor that was killed
        again = user_ids.take(container("private"), others)
        assert again and again.first == FIRST + 3 * COUNT
    assert list((run / "ids").iterdir()) == []


def test_no_more_are_given_than_there_are(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_ids, "_delegated", lambda _file: (500_000, 500_000 + 2 * COUNT + 9))
    with ExitStack() as held:
        firsts = [user_ids.take(container("private"), held) for _ in range(2)]
        assert [one.first for one in firsts if one] == [500_000, 500_000 + COUNT]
        with pytest.raises(Exhausted, match="no ids left"):
            user_ids.take(container("private"), held)


def test_what_the_administrator_gives_is_taken_if_users_and_groups_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "subuid").write_text("# ours\nalice:100000:65536\nminirt:300000:131072\n")
    assert user_ids._delegated(tmp_path / "subuid") == (300_000, 431_072)
    assert user_ids._delegated(tmp_path / "none") is None
    (tmp_path / "odd").write_text("minirt:x:1\nminirt:5\n")
    assert user_ids._delegated(tmp_path / "odd") is None
    found = {"/etc/subuid": (5, 10), "/etc/subgid": (5, 11)}
    monkeypatch.setattr(user_ids, "_delegated", lambda file: found[str(file)])
    assert user_ids.pool() == (FIRST, BEYOND)
    found["/etc/subgid"] = (5, 10)
    assert user_ids.pool() == (5, 10)


def test_a_config_gets_maps_and_its_binds_are_idmapped() -> None:
    one = container("private", mounts=[Mount("bind", "/data", "/srv")])
    bind = {"type": "bind", "source": "/x"}
    document: dict[str, Any] = {
        "mounts": [
            {"destination": "/proc", "type": "proc", "options": []},
            *({"destination": path, **bind, "options": ["rbind"]} for path in
              ("/etc/hosts", "/srv", "/sbin/docker-init", "/dev/shm")),
        ],
        "linux": {
            "namespaces": [{"type": "mount"}],
            "sysctl": {"net.ipv4.ping_group_range": "0 2147483647"},
        },
    }  # fmt: skip
    user_ids.apply(document, one, Range(1000, 50))
    linux = document["linux"]
    assert linux["namespaces"][-1] == {"type": "user"}
    mapping = {"containerID": 0, "hostID": 1000, "size": 50}
    assert linux["uidMappings"] == linux["gidMappings"] == [mapping]
    assert linux["sysctl"]["net.ipv4.ping_group_range"] == "0 49"
    mapped = [each["destination"] for each in document["mounts"] if "idmap" in each["options"]]
    assert mapped == ["/etc/hosts", "/srv"]


@pytest.mark.parametrize(
    ("text", "mode"),
    [("", ""), ("host", ""), ("private", "private"), ("auto", "private"), ("5:7", "5:7")],
)
def test_what_the_flag_says(text: str, mode: str) -> None:
    assert namespaces.user(Flags("box", userns=text)) == mode


@pytest.mark.parametrize("text", ["nomap", "keep-id", "5", "5:", "5:0", "-1:5", "4294967295:1"])
def test_what_it_may_not_say(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--userns"):
        namespaces.user(Flags("box", userns=text))


def test_old_records_have_the_ids_of_the_host() -> None:
    assert HostConfig(**record.known(HostConfig, {"privileged": True})).userns_mode == ""
