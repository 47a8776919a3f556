"""Hosts that are not as most: without IPv6, with read-only cgroups, or odd DNS servers."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.guests import guest
from integration.naming import host_file, upstream
from integration.sandbox import REPOSITORY, Outside, in_netns, minirt_words, shell, wait_until
from minirt.kernel import cgroups, libc

pytestmark = pytest.mark.usefixtures("image")


@contextlib.contextmanager
def no_ipv6() -> Iterator[None]:
    """Make the kernel look as one that was started with ipv6.disable=1."""
    libc.mount("tmpfs", "/proc/sys/net/ipv6", "tmpfs", 0, "")
    try:
        yield
    finally:
        libc.umount2("/proc/sys/net/ipv6", 0)


def test_where_the_kernel_has_no_ipv6_who_asks_for_it_is_told_so(minirt: Minirt) -> None:
    with no_ipv6():
        for words in (["--ipv6"], ["--subnet", "fd00:1::/64"]):
            said = minirt("network", "create", *words, "net1", code=1).stderr
            assert "This kernel has no IPv6" in said
            assert "Leave IPv6 out" in said
        assert "net1" not in minirt("network", "ls").stdout
        assert "br-" not in shell("ip", "-br", "link").stdout
        minirt("network", "create", "net1")
        minirt("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", "172.18.0.1")
    minirt("network", "create", "--ipv6", "net2")


@contextlib.contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Let nobody write to a mount."""
    bound, again, forbidden = 1 << 12, 1 << 5, 1  # MS_BIND, MS_REMOUNT, MS_RDONLY of mount(2)
    libc.mount(None, str(place), None, bound | again | forbidden)
    try:
        yield
    finally:
        libc.mount(None, str(place), None, bound | again)


@pytest.mark.core
def test_where_a_cgroup_can_not_be_made_the_person_is_told_and_nothing_stays(
    minirt: Minirt,
) -> None:
    minirt("run", "--rm", "busybox", "true")  # The group of all groups is there.
    place = next(one.top for one in cgroups.mounted() if "pids" in one.controllers)
    with read_only(place):
        said = minirt("run", "--rm", "busybox", "true", code=125).stderr
    assert "Read-only file system" in said
    assert "the kernel's own" in said
    assert minirt("ps", "-aq").stdout == ""
    minirt("run", "--rm", "busybox", "true")


def found(minirt: Minirt, network: str) -> str:
    """Return how a container on a network sees an outside name."""
    words = ("run", "--rm", "--net", network, "busybox", "nslookup", "-type=a", "example.org")
    return minirt(*words, code=None).stdout.partition("\n\n")[2]


@pytest.mark.parametrize("network", ["net1", "bridge"])
def test_a_server_at_the_hosts_ipv6_loopback_is_asked(
    minirt: Minirt, tmp_path: Path, network: str
) -> None:
    minirt("network", "create", "net1")
    with upstream(tmp_path / "log", "::1"), host_file("nameserver ::1\n", tmp_path):
        assert "192.0.2.99" in found(minirt, network)
    assert "example.org" in (tmp_path / "log").read_text()


def link_local(shown: str) -> str:
    """Return the link's address that ip-address(8) shows, once it can be used."""
    (link,) = json.loads(shown)
    usable = [one["local"] for one in link["addr_info"] if not one.get("tentative")]
    return usable[0] if usable else ""


def test_a_server_at_a_link_local_address_is_asked_over_its_link(
    minirt: Minirt, outside: Outside, tmp_path: Path
) -> None:
    show = ("ip", "-json", "-6", "addr", "show", "scope", "link", "dev")
    wait_until(lambda: link_local(shell(*show, outside.link).stdout), "an address to ask from")
    wait_until(lambda: link_local(outside.run(*show, "eth0").stdout), "an address to ask")
    address = link_local(outside.run(*show, "eth0").stdout)
    minirt("network", "create", "net1")
    text = f"nameserver {address}%{outside.link}\n"
    log = tmp_path / "log"
    with upstream(log, f"{address}%eth0", outside.pid), host_file(text, tmp_path):
        assert "192.0.2.99" in found(minirt, "net1")
    assert "example.org" in log.read_text()


def test_a_network_has_a_subnet_of_each_family_with_gateway_and_range(minirt: Minirt) -> None:
    subnets = ("--subnet", "10.1.0.0/16", "--subnet", "fd00:1::/64")
    gateways = ("--gateway", "fd00:1::fe", "--gateway", "10.1.0.254")
    ranges = ("--ip-range", "10.1.8.0/24", "--ip-range", "fd00:1::8:0/112")
    aux = ("--aux-address", "router=10.1.8.0", "--aux-address", "other=fd00:1::8:0")
    minirt("network", "create", *subnets, *gateways, *ranges, *aux, "net1")
    (shown,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.1.0.0/16",
            "IPRange": "10.1.8.0/24",
            "Gateway": "10.1.0.254",
            "AuxiliaryAddresses": {"router": "10.1.8.0"},
        },
        {
            "Subnet": "fd00:1::/64",
            "IPRange": "fd00:1::8:0/112",
            "Gateway": "fd00:1::fe",
            "AuxiliaryAddresses": {"other": "fd00:1::8:0"},
        },
    ]
    one = guest(minirt, "one", "--net", "net1")
    assert (one.address, one.networks["net1"]["GlobalIPv6Address"]) == ("10.1.8.1", "fd00:1::8:1")
    for gateway in ("10.1.0.254", "fd00:1::fe"):
        minirt("exec", "one", "ping", "-c1", "-W5", gateway)
    for one_more in ("10.2.0.0/24", "fd00:2::/64"):
        said = minirt("network", "create", *subnets, "--subnet", one_more, "net2", code=1).stderr
        assert said.count("\n") == 1


@pytest.mark.in_process
def test_in_a_chroot_the_message_says_how_to_make_the_root_a_mount_point(
    image: str, tmp_path: Path
) -> None:
    """Of a root that is no mount point neither propagation nor pivot_root(2) works."""
    chroot = tmp_path / "chroot"
    command = shlex.join(minirt_words("run", "--rm", "--net", "none", image, "echo", "hello"))
    bound = [Path("/") / name for name in ("usr", "etc", "dev", "proc", "sys", "tmp", "root")]
    bound += [REPOSITORY, Path(sys.prefix)]
    script = [f"mkdir -p {chroot}/run"]
    script += [f"ln -sfn usr/{name} {chroot}/{name}" for name in ("bin", "lib", "lib64", "sbin")]
    for path in bound:
        script.append(f"mkdir -p {chroot}{path} && mount --rbind {path} {chroot}{path}")
    prepare = "\n".join(["set -e", *script])
    for more, code in ((":", 125), (f"mount --rbind {chroot} {chroot}", 0)):
        done = shell(
            *("unshare", "--mount", "sh", "-c"),
            f"{prepare}\n{more}\nexec chroot {chroot} {command}",
            code=code,
        )
        if code:
            assert "the root directory is not a mount point" in done.stderr
            assert "mount --rbind DIR DIR" in done.stderr
        else:
            assert done.stdout == "hello\n"


@pytest.mark.in_process
@pytest.mark.parametrize("name", ["a\rb", "a\x0b\x1c\x85\u2028b", "a b\\c\n#d"], ids=repr)
def test_a_mount_point_of_any_user_may_have_any_name(
    minirt: Minirt, image: str, tmp_path: Path, name: str
) -> None:
    """A carriage return in it was the end of a line of mountinfo, and of every command."""
    place = tmp_path / name
    place.mkdir()
    shell("mount", "-t", "tmpfs", "tmpfs", place)
    try:
        assert minirt("run", "--rm", "--net", "none", image, "echo", "up").stdout == "up\n"
        minirt("run", "--rm", "--net", "none", "-v", f"{place}:/x", image, "true")
    finally:
        shell("umount", place)


def test_a_link_of_a_container_may_have_any_name(minirt: Minirt, image: str) -> None:
    """It is the container's to choose, with NET_ADMIN."""
    minirt("run", "-d", "--name", "one", image, "sleep", "1000")
    name = os.fsdecode(b"a\x1cb\xff")
    in_netns(pid_of(minirt, "one"), "ip", "link", "add", name, "type", "bridge")
    assert "one" in minirt("stats", "--no-stream", "one").stdout
    minirt("rm", "-f", "one")
