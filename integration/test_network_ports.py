"""The host's ports: taken, shared out, and said of whom they are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.sandbox import shell
from minirt.errors import Conflict, InvalidRequest
from minirt.network import port_syntax, ports
from minirt.network.port_binding import Binding


@contextmanager
def reserved(*texts: str) -> Iterator[list[Binding]]:
    """Hold ports for the body."""
    held = ports.reserve(port_syntax.parse(texts))
    try:
        yield held
    finally:
        ports.close(held)


def test_a_port_without_an_address_is_taken_for_both_families() -> None:
    with reserved("8080:80") as held:
        assert [str(one) for one in held] == ["0.0.0.0:8080", "[::]:8080"]
        for taken in ("127.0.0.1:8080:80", "[::1]:8080:80"):
            with pytest.raises(Conflict, match="address already in use"):
                ports.reserve(port_syntax.parse([taken]))
    with reserved("8080:80"):
        pass  # It was free again at once.


def test_without_ipv6_only_the_other_family_is_taken() -> None:
    shell("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    with reserved("8080:80") as held:
        assert [one.host_ip for one in held] == ["0.0.0.0"]


def test_any_free_port_is_the_same_one_for_both_families_and_of_the_kernels_range() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    with reserved("80", "80") as held:
        numbers = [one.host_port for one in held]
        assert numbers[0::2] == numbers[1::2]
        assert all(low <= number <= high for number in numbers)
        assert numbers[0] != numbers[2]


def test_of_a_range_the_first_free_port_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 8000))
        other.listen()
        with reserved("8000-8002:80") as one, reserved("8000-8002:80") as two:
            assert {each.host_port for each in one} == {8001}
            assert {each.host_port for each in two} == {8002}
            with pytest.raises(Conflict, match="all ports from 8000 to 8002 are taken"):
                ports.reserve(port_syntax.parse(["8000-8002:80"]))


def test_tcp_and_udp_of_one_number_are_two_ports() -> None:
    with reserved("8080:80", "8080:80/udp") as held:
        assert [str(one) for one in held] == ["0.0.0.0:8080", "[::]:8080"] * 2


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_of_a_process_is_refused_with_its_name(protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("0.0.0.0", 8080))
        if protocol == "tcp":
            other.listen()
        comm = Path("/proc/self/comm").read_text().strip()
        with pytest.raises(Conflict) as refused:
            ports.reserve(port_syntax.parse(["9090:90", f"8080:80/{protocol}"]))
        assert f"already in use by process {os.getpid()} ({comm})" in str(refused.value)
    with reserved("9090:90", "8080:80"):
        pass  # What was taken before the refusal was given back.


def test_an_address_that_the_host_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"Bind for 1\.2\.3\.4:8080 failed: the host has no"):
        ports.reserve(port_syntax.parse(["1.2.3.4:8080:80"]))


def test_an_ipv6_address_is_taken_as_such() -> None:
    with reserved("[::1]:8080:80", "127.0.0.1:8080:80", "[::1]:8080:80/udp") as held:
        assert [str(one) for one in held] == ["[::1]:8080", "127.0.0.1:8080", "[::1]:8080"]


def test_the_same_port_twice_is_refused_and_nothing_is_held() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(Conflict):
        ports.reserve(port_syntax.parse(["8080:80", "8080:80"]))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_no_descriptor_of_ours_is_inherited_by_programs() -> None:
    with reserved("8080:80", "8080:80/udp") as held:
        assert not any(os.get_inheritable(fd) for one in held for fd in one.sockets)
