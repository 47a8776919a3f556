"""Names from leases: what is known, under which name, and in which order it is looked for."""

from __future__ import annotations

import json
import os
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.kernel import locks
from minirt.network.question import wire_name
from minirt.network.zone import Zone, find_addresses, find_pointer, read_lease


class Holder:
    """What monitors do with lease files, done by the test."""

    def __init__(self, networks: Path) -> None:
        self.networks = networks
        self.held: dict[tuple[str, str], int] = {}

    def take(self, network: str, address: str, name: str, *names: str) -> None:
        folder = self.networks / network / "leases"
        folder.mkdir(parents=True, exist_ok=True)
        fd = self.held[network, address] = locks.acquire(folder / address)
        os.pwrite(fd, json.dumps({"name": name, "names": [name, *names]}).encode(), 0)

    def die(self, network: str, address: str) -> None:
        os.close(self.held.pop((network, address)))

    def zone(self, network: str) -> Zone:
        zone = Zone(network, self.networks / network / "leases")
        zone.look_at_all()
        return zone


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(tmp_path)


def found(zones: list[Zone], name: str) -> list[str] | None:
    wire = wire_name(name)
    assert wire is not None
    addresses = find_addresses(zones, wire)
    return None if addresses is None else [str(one) for one in addresses]


def test_a_living_holder_is_found_under_all_its_names(holder: Holder) -> None:
    holder.take("net1", "10.0.0.2", "Web", "www", "0123456789ab", "Mixed.Case")
    zone = holder.zone("net1")
    for name in ("web", "www", "0123456789ab", "mixed.case", "WEB.net1", "mixed.case.net1"):
        assert found([zone], name) == ["10.0.0.2"], name
    for name in ("we", "webb", "foo.web", "web.net2", "net1", "web.net1.net1"):
        assert found([zone], name) is None, name


def test_a_lease_without_a_lock_is_gone(holder: Holder) -> None:
    holder.take("net1", "10.0.0.2", "web", "shared")
    holder.take("net1", "10.0.0.3", "db", "shared")
    zone = holder.zone("net1")
    assert found([zone], "shared") == ["10.0.0.2", "10.0.0.3"]
    holder.die("net1", "10.0.0.2")
    assert zone.look_at({"10.0.0.2"})
    assert found([zone], "shared") == ["10.0.0.3"]
    assert found([zone], "web") is None
    assert not zone.look_at_all()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"name": 1}', b'"x"', b"\xff\xfe"])
def test_a_lease_that_is_not_written_yet_is_none(holder: Holder, text: bytes) -> None:
    holder.take("net1", "10.0.0.2", "web")
    path = holder.networks / "net1" / "leases" / "10.0.0.2"
    path.write_bytes(text)
    assert read_lease(path) is None


def test_a_file_that_is_no_address_is_passed_over(holder: Holder) -> None:
    holder.take("net1", "README", "web")
    assert holder.zone("net1").members == {}


def test_a_name_that_dns_cannot_write_costs_only_itself(holder: Holder) -> None:
    holder.take("net1", "10.0.0.2", "web", "", "a..b", "f" * 64)
    assert found([holder.zone("net1")], "web") == ["10.0.0.2"]


def test_the_first_network_that_knows_the_name_wins_and_nothing_is_merged(holder: Holder) -> None:
    holder.take("net1", "10.0.1.2", "dup")
    holder.take("net2", "10.0.2.2", "dup")
    zones = [holder.zone("net2"), holder.zone("net1")]
    assert found(zones, "dup") == ["10.0.2.2"]
    assert found(zones, "dup.net1") == ["10.0.1.2"]
    assert found(zones, "dup.net2") == ["10.0.2.2"]


def test_a_whole_name_comes_before_a_split_one(holder: Holder) -> None:
    holder.take("net1", "10.0.1.2", "web")
    holder.take("net2", "10.0.2.2", "other", "web.net1")
    assert found([holder.zone("net1"), holder.zone("net2")], "web.net1") == ["10.0.2.2"]


def test_dots_may_stand_in_both_parts(holder: Holder) -> None:
    holder.take("dotted.net", "10.0.0.2", "db.prod")
    assert found([holder.zone("dotted.net")], "DB.prod.Dotted.net") == ["10.0.0.2"]


def test_a_dot_inside_a_label_is_no_border(holder: Holder) -> None:
    holder.take("net1", "10.0.0.2", "web")
    assert find_addresses([holder.zone("net1")], b"\x08web.net1") is None
    assert find_addresses([holder.zone("net1")], b"\x09web\x04net1x") is None


@pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])
def test_an_address_leads_back_to_the_name_and_its_network(holder: Holder, address: str) -> None:
    holder.take("net1", address, "Web", "www")
    pointer = wire_name(ip_address(address).reverse_pointer)
    assert pointer is not None
    assert find_pointer([holder.zone("net1")], pointer) == b"\3web\4net1"
    assert find_pointer([], pointer) is None


@given(st.binary(max_size=40))
def test_no_name_breaks_the_search(name: bytes) -> None:
    zones = [Zone("net1", Path("/nonexistent"))]
    assert find_addresses(zones, name) is None
    assert find_pointer(zones, name) is None
