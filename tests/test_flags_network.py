from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container.flags import network
from minirt.container.flags.typed import Flags
from minirt.container.record import EndpointRequest
from minirt.errors import InvalidRequest


def networking(*networks: str, **flags: Any) -> tuple[str, list[EndpointRequest]]:
    return network.networking(Flags(image="busybox", network=networks, **flags))


def test_without_a_network_it_is_the_default_one() -> None:
    mode, (endpoint,) = networking()
    assert (mode, endpoint.network) == ("bridge", "bridge")
    assert networking("default") == networking("bridge")


@pytest.mark.parametrize("mode", ["host", "none", "container:web"])
def test_modes_without_a_plug(mode: str) -> None:
    assert networking(mode) == (mode, [])


def test_the_long_form_belongs_to_its_network_and_plain_flags_to_the_first() -> None:
    mode, (first, second) = networking(
        "net1",
        "name=net2,ip=10.0.0.9,ip6=FD00:0::9,alias=a,alias=b,mac-address=02-42-0A-00-00-09",
        ip="10.0.0.3",
        ip6="fd00::3",
        network_alias=("web",),
        mac_address="02:42:0a:00:00:03",
    )
    assert mode == "net1"
    assert (first.address, first.aliases, first.mac) == ("10.0.0.3", ["web"], "02:42:0a:00:00:03")
    assert (first.address6, second.address6) == ("fd00::3", "fd00::9")
    assert (second.network, second.address) == ("net2", "10.0.0.9")
    assert (second.aliases, second.mac) == (["a", "b"], "02:42:0a:00:00:09")


@pytest.mark.parametrize(
    ("networks", "flags", "why"),
    [
        (("",), {}, "No name set for network"),
        (("container:",), {}, "invalid container format"),
        (("net1", "net1"), {}, "specified multiple times"),
        (("host", "net1"), {}, "user-defined and non-user-defined"),
        (("net1", "bridge"), {}, "user-defined and non-user-defined"),
        (("net1", "container:x"), {}, "user-defined and non-user-defined"),
        (("name=n,foo=1",), {}, "invalid field key foo"),
        (("alias=x",), {}, "name/id is not specified"),
        (("name=n,ip=x",), {}, "invalid IPv4 address"),
        (("name=n,link-local-ip=169.254.0.2",), {}, "doesn't have link-local-ip"),
        (("name=n,ip6=10.0.0.2",), {}, "invalid IPv6 address: 10.0.0.2"),
        (("name=n,ip6=fd00::2",), {"ip6": "fd00::3"}, "both --ip6 and"),
        (("net1",), {"ip6": "fd00::2%eth0"}, "invalid IPv6 address"),
        (("host",), {"ip6": "fd00::2"}, "user defined networks only"),
        (("name=n,ip=10.0.0.2",), {"ip": "10.0.0.3"}, "both --ip and"),
        (("host",), {"ip": "10.0.0.3"}, "user defined networks only"),
        (("bridge",), {"network_alias": ("x",)}, "network-scoped aliases"),
        ((), {"network_alias": ("x",)}, "network-scoped aliases"),
        (("container:x",), {"hostname": "h"}, "hostname and the network mode"),
        (("container:x",), {"dns": ("9.9.9.9",)}, "dns and the network mode"),
        (("container:x",), {"add_host": ("a:1.2.3.4",)}, "host-to-IP mapping"),
        (("container:x",), {"publish": ("80",)}, "port publishing"),
        (("container:x",), {"expose": ("80",)}, "port exposing"),
        (("net1",), {"ip": "fe80::1"}, "invalid IPv4 address"),
        (("net1",), {"mac_address": "foo"}, "not a valid mac address"),
        (("net1",), {"mac_address": "01:00:5e:00:00:01"}, "multicast"),
    ],
)
def test_contradictions_are_refused_in_dockers_words(
    networks: tuple[str, ...], flags: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why):
        networking(*networks, **flags)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("n:10.0.0.1", "n:10.0.0.1"),
        ("n=10.0.0.1", "n:10.0.0.1"),
        ("v6:::1", "v6:::1"),
        ("v6=[fd00::1]", "v6:fd00::1"),
        ("n:host-gateway", "n:host-gateway"),
    ],
)
def test_every_form_of_an_extra_host(text: str, line: str) -> None:
    assert network.extra_host(text) == line


@pytest.mark.parametrize("text", ["foo", "foo:bar", ":1.2.3.4", "a b:1.2.3.4", "foo:", ""])
def test_what_is_no_extra_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--add-host"):
        network.extra_host(text)


def test_dns_flags_are_checked() -> None:
    assert network.dns_server("2001:db8::1") == "2001:db8::1"
    assert network.search_domain(".") == "."
    with pytest.raises(InvalidRequest, match="IP address is not correctly formatted: foo"):
        network.dns_server("foo")
    with pytest.raises(InvalidRequest, match="bad domain! is not a valid domain"):
        network.search_domain("bad domain!")


@given(st.text(max_size=40))
def test_any_text_is_a_network_or_a_clear_refusal(text: str) -> None:
    try:
        assert network.one_network(text).network
    except InvalidRequest as error:
        assert str(error)
