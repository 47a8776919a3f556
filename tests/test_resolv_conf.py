"""What stands in a container's resolv.conf, and what its resolver is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.network import resolv_conf
from minirt.network.resolv_conf import ResolvConf, read, render

HOST = """# from DHCP
nameserver 10.99.0.3
nameserver 127.0.0.53
nameserver fd99::3
search lab.example corp.example
options timeout:2 edns0
options rotate
sortlist 130.155.160.0
"""


def words(text: str, keyword: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(keyword)]


def test_a_file_is_read_as_the_c_library_does() -> None:
    text = "domain a.example\nsearch b.example\n; no\nnameserver bad\nnameserver\nnameserver ::1\n"
    assert read(text) == ResolvConf(servers=("::1",), search=("b.example",))
    assert read("search b.example\ndomain a.example\n").search == ("a.example",)
    assert read("nameserver fe80::1%eth0").servers == ("fe80::1%eth0",)
    assert read("options a\noptions b:1 c") == ResolvConf(options=("a", "b:1", "c"))


def test_on_a_user_defined_network_there_is_only_the_resolver() -> None:
    rendered = render(HOST, "user-defined")
    assert words(rendered.text, "nameserver") == ["nameserver 127.0.0.11"]
    assert words(rendered.text, "search") == ["search lab.example corp.example"]
    assert words(rendered.text, "options") == ["options timeout:2 edns0 rotate ndots:0"]
    assert words(rendered.text, "sortlist") == ["sortlist 130.155.160.0"]
    assert (rendered.resolver, rendered.servers, rendered.bare) == (True, (), False)
    assert "# ExtServers: [host(10.99.0.3) host(127.0.0.53) host(fd99::3)]" in rendered.text


def test_servers_of_the_command_line_are_for_the_resolver() -> None:
    rendered = render(HOST, "user-defined", servers=["10.0.0.53", "127.0.0.1"])
    assert words(rendered.text, "nameserver") == ["nameserver 127.0.0.11"]
    assert rendered.servers == ("10.0.0.53", "127.0.0.1")
    assert "# ExtServers: [10.0.0.53 127.0.0.1]\n# Overrides: [nameservers]" in rendered.text


def test_search_and_options_replace_those_of_the_machine() -> None:
    rendered = render(HOST, "user-defined", search=["x.example"], options=["ndots:2"])
    assert words(rendered.text, "search") == ["search x.example"]
    assert words(rendered.text, "options") == ["options ndots:2"]
    assert not rendered.bare


def test_a_search_list_of_one_dot_is_empty() -> None:
    assert words(render(HOST, "user-defined", search=["."]).text, "search") == []


@pytest.mark.parametrize("option", ["ndots:bad", "ndots:", "ndots:-1"])
def test_ndots_that_make_no_sense_are_replaced(option: str) -> None:
    rendered = render("", "user-defined", options=[option])
    assert words(rendered.text, "options") == ["options ndots:0"]
    assert not rendered.bare


def test_ndots_of_more_digits_than_int_reads_are_kept() -> None:
    option = f"ndots:{'9' * 5000}"
    rendered = render("", "user-defined", options=[option])
    assert words(rendered.text, "options") == [f"options {option}"]
    assert not rendered.bare


@pytest.mark.parametrize("zone", ["a\0b", "\ufffd", "é..a", "a\x1b"])
def test_servers_with_a_zone_that_connect_does_not_take_are_passed_over(zone: str) -> None:
    assert read(f"nameserver fe80::1%{zone}\nnameserver fe80::1%eth0\n").servers == (
        "fe80::1%eth0",
    )


@pytest.mark.parametrize("host", ["", "options ndots:5\n"])
def test_ndots_of_0_ask_for_names_without_a_dot_elsewhere(host: str) -> None:
    assert render(host, "user-defined", options=["ndots:0"]).bare
    assert render("options ndots:0\n", "user-defined").bare
    assert not render(host, "user-defined").bare


def test_the_default_network_asks_the_servers_that_it_can_reach() -> None:
    rendered = render(HOST, "default")
    assert words(rendered.text, "nameserver") == ["nameserver 10.99.0.3"]
    assert words(rendered.text, "options") == ["options timeout:2 edns0 rotate"]
    assert not rendered.resolver
    with_ipv6 = render(HOST, "default", ipv6=True)
    assert words(with_ipv6.text, "nameserver") == ["nameserver 10.99.0.3", "nameserver fd99::3"]


@pytest.mark.parametrize("host", ["", "nameserver 127.0.0.53\n", "nameserver ::1\n# x\n"])
def test_where_only_the_machine_itself_answers_the_resolver_asks_it(host: str) -> None:
    rendered = render(host, "default")
    assert words(rendered.text, "nameserver") == ["nameserver 127.0.0.11"]
    assert rendered.resolver


def test_on_the_default_network_named_servers_stand_as_they_are() -> None:
    rendered = render(HOST, "default", servers=["1.1.1.1", "127.0.0.1", "9.9.9.9", "8.8.8.8"])
    assert len(words(rendered.text, "nameserver")) == 4
    assert not rendered.resolver


def test_in_the_machines_network_its_file_stays_as_it_is() -> None:
    assert render(HOST, "host").text == HOST
    assert render("", "host") == resolv_conf.Rendered("")


def test_even_there_the_command_line_replaces() -> None:
    rendered = render(HOST, "host", servers=["1.1.1.1"])
    assert words(rendered.text, "nameserver") == ["nameserver 1.1.1.1"]
    assert words(rendered.text, "search") == ["search lab.example corp.example"]
    assert not words(rendered.text, "# Based")


@given(st.text(max_size=200))
def test_no_file_of_the_machine_breaks_it(text: str) -> None:
    for kind in ("user-defined", "default"):
        rendered = render(text, kind)
        assert words(rendered.text, "nameserver")
        again = read(rendered.text)
        assert again.servers
        assert all(map(resolv_conf.is_address, again.servers))
