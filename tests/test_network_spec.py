from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from minirt.errors import Conflict, InvalidRequest, NotFound
from minirt.network import describe, finding, spec, store
from minirt.network.spec import Network
from minirt.state import write_json

NET = Network(
    id="ab" * 32,
    name="net1",
    created="2026-11-24T06:37:10.560343129Z",
    bridge="br-abababababab",
    subnet4=IPv4Network("192.0.2.0/24"),
    gateway4=IPv4Address("192.0.2.1"),
    range4=IPv4Network("192.0.2.128/25"),
    aux={"router": IPv4Address("192.0.2.130")},
    chosen=True,
    subnet6=IPv6Network("fd00:1::/64"),
    gateway6=IPv6Address("fd00:1::1"),
    internal=True,
    options={"x": "y"},
    labels={"a": ""},
)


@pytest.mark.parametrize("network", [NET, Network("cd" * 32, "bare", "2026-11-24T06:37:10Z")])
def test_a_network_comes_back_from_its_document(network: Network) -> None:
    assert spec.from_json(spec.to_json(network)) == network


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert spec.from_json({**spec.to_json(NET), "colour": "blue"}) == NET


def test_the_reserved_addresses_each_have_their_reason() -> None:
    assert {str(address): what for address, what in NET.reserved().items()} == {
        "192.0.2.0": "the address of the network itself",
        "192.0.2.1": "the gateway",
        "192.0.2.130": "kept for router",
        "192.0.2.255": "the broadcast address",
    }


def test_in_a_network_of_two_addresses_both_are_usable() -> None:
    two = replace(NET, subnet4=IPv4Network("192.0.2.0/31"), gateway4=IPv4Address("192.0.2.0"))
    assert set(map(str, replace(two, aux={}).reserved())) == {"192.0.2.0"}


@pytest.mark.parametrize(
    ("value", "icc", "masquerade"), [("true", True, True), ("0", False, False), ("F", False, False)]
)
def test_the_options_mean_what_docker_means_by_them(
    value: str, icc: bool, masquerade: bool
) -> None:
    options = {spec.ICC: value, spec.MASQUERADE: value}
    network = replace(NET, internal=False, options=options)
    assert (network.icc, network.masquerade) == (icc, masquerade)


def test_what_is_internal_does_not_masquerade() -> None:
    assert not NET.masquerade
    assert replace(NET, internal=False).masquerade


def test_networks_are_found_by_name_full_id_and_the_beginning_of_an_id() -> None:
    store.add(NET)
    for word in ("net1", NET.id, "aba", NET.id[:12]):
        assert finding.find(word) == NET


def test_a_name_is_preferred_to_the_beginning_of_an_id() -> None:
    store.add(NET)
    other = replace(NET, id="ef" * 32, name="abab")
    store.add(other)
    assert finding.find("abab") == other


def test_an_id_that_several_begin_with_is_refused() -> None:
    store.add(NET)
    store.add(replace(NET, id="abcd" * 16, name="net2"))
    store.add(replace(NET, id="ef" * 32, name="bridge"))  # not to be made, here is no kernel
    with pytest.raises(Conflict, match="net1 and net2"):
        finding.find("ab")
    for word in ("nosuch", "", "../net1", "12", "a" * 64):
        with pytest.raises(NotFound, match="not found"):
            finding.find(word)


def test_a_name_belongs_to_the_first_who_takes_it() -> None:
    store.add(NET)
    with pytest.raises(Conflict, match="network with name net1 already exists"):
        store.add(replace(NET, id="ef" * 32))
    assert finding.find("net1") == NET


def test_a_file_that_was_changed_is_read_anew() -> None:
    store.add(NET)
    assert store.load("net1") == store.load("net1") == NET
    write_json(store.spec_path("net1"), spec.to_json(replace(NET, internal=False)))
    assert store.load("net1") == replace(NET, internal=False)


def test_a_damaged_file_is_named() -> None:
    store.add(NET)
    store.spec_path("net1").write_text("{")
    with pytest.raises(InvalidRequest, match=r"file of network net1 is damaged.*net1\.json"):
        finding.find("net1")


def test_inspect_has_dockers_shape() -> None:
    shown = describe.document(NET)
    assert list(shown)[:5] == ["Name", "Id", "Created", "Scope", "Driver"]
    assert shown["IPAM"]["Config"][0] == {
        "Subnet": "192.0.2.0/24",
        "IPRange": "192.0.2.128/25",
        "Gateway": "192.0.2.1",
        "AuxiliaryAddresses": {"router": "192.0.2.130"},
    }
    assert shown["Containers"] == {}
    assert describe.document(store.BUILTIN["host"])["IPAM"]["Config"] is None
