"""Networks, addresses and ports that cannot be: one clear sentence, and nothing has changed."""

from __future__ import annotations

import re

import pytest

from integration.conftest import Minirt
from integration.guests import guest, look
from integration.sandbox import shell

SUBNET = ("network", "create", "--subnet", "10.9.0.0/24", "net1")


def world(minirt: Minirt) -> set[str]:
    """Return all that a command could have changed, line by line."""
    said = [minirt(*words).stdout for words in (("ps", "-aq"), ("network", "ls"))]
    shown = [("ip", "-br", "link"), ("ip", "-br", "addr"), ("ip", "route")]
    said += [without_state(shell(*words).stdout) for words in shown]
    said += [shell("nft", "list", "ruleset").stdout]
    return {*"\n".join([*said, shell("ss", "-tulnH").stdout]).splitlines()}


def without_state(lines: str) -> str:
    """Leave out what the kernel finds out of a new link by and by."""
    lines = lines.replace("linkdown ", "")
    return re.sub(r"^(\S+) +[A-Z]+ +|<.*>", r"\1 ", lines, flags=re.MULTILINE)


def refused(minirt: Minirt, code: int, *words: object) -> str:
    """Return what minirt says, in one line, when it refuses something and changes nothing."""
    before = world(minirt)
    done = minirt(*words, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("minirt: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert world(minirt) ^ before == set()
    return done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["../x"], "../x"),
        (["n" * 300], "nnn"),
        (["two words"], "two words"),
        ([""], "name"),
        (["net1"], "net1 already exists"),
        (["--subnet", "10.9.0.0/16", "net2"], "overlaps"),
        (["--subnet", "10.9.0.64/26", "net2"], "overlaps"),
        (["--subnet", "10.8.0.0/32", "net2"], "10.8.0.0/32"),
        (["--subnet", "::ffff:10.8.0.0/120", "net2"], "::ffff:"),
        (["--subnet", "10.8.0.0", "net2"], "10.8.0.0"),
        (["--subnet", "10.8.0.0/33", "net2"], "10.8.0.0/33"),
        (["--subnet", "10.8.0.300/24", "net2"], "10.8.0.300/24"),
        (["--subnet", "10.8.0.0/255.255.255.0/1", "net2"], "10.8.0.0"),
        (["--subnet", "", "net2"], "subnet"),
        (["--subnet", "127.0.0.0/24", "net2"], "127.0.0.0/24"),
        (["--subnet", "224.0.0.0/24", "net2"], "224.0.0.0/24"),
        (["--subnet", "10.8.0.0/24", "--gateway", "10.7.0.1", "net2"], "10.7.0.1"),
        (["--subnet", "10.8.0.0/24", "--gateway", "10.8.0.255", "net2"], "10.8.0.255"),
        (["--gateway", "10.8.0.1", "net2"], "must have a corresponding subnet"),
        (["--subnet", "10.8.0.0/24", "--ip-range", "10.7.0.0/25", "net2"], "10.7.0.0/25"),
        (["-o", "com.docker.network.driver.mtu=lots", "net2"], "lots"),
    ],
)
def test_no_network(minirt: Minirt, words: list[str], complaint: str) -> None:
    minirt(*SUBNET)
    assert complaint in refused(minirt, 1, "network", "create", *words)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--net", "nosuch"], "network nosuch not found"),
        (["--net", "../x"], "../x"),
        (["--net", "n" * 300], "nnn"),
        (["--net", "two words"], "two words"),
        (["--net", "net1", "--ip", "10.9.0.2"], "container web has it"),
        (["--net", "net1", "--ip", "10.9.0.0"], "10.9.0.0"),
        (["--net", "net1", "--ip", "10.9.0.255"], "10.9.0.255"),
        (["--net", "net1", "--ip", "10.9.0.1"], "10.9.0.1"),
        (["--net", "net1", "--ip", "10.9.1.2"], "10.9.1.2"),
        (["--net", "net1", "--ip", "fd00::2"], "fd00::2"),
        (["--net", "net1", "--ip", "10.9.0"], "10.9.0"),
        (["--net", "net1", "--mac-address", "rubbish"], "rubbish"),
        (["-p", "8080:80"], "allocated by container web"),
        (["-p", "127.0.0.1:8080:80"], "allocated by container web"),
        (["-p", "8080:80", "--net", "net1"], "allocated by container web"),
        (["-p", "65536:80"], "65536"),
        (["-p", "80:65536"], "65536"),
        (["-p", "-1:80"], "-1"),
        (["-p", "8002-8000:80"], "8002-8000"),
        (["-p", "8000-8002:80-81"], "8000-8002"),
        (["-p", "http:80"], "http"),
        (["-p", "80:80/smtp"], "smtp"),
        (["-p", "8081:"], "8081:"),
        (["-p", "198.51.100.7:8081:80"], "198.51.100.7"),
        (["-p", "localhost:8081:80"], "localhost"),
        (["-p", "8081:80", "-p", "8081:81"], "8081"),
    ],
)
def test_no_container(minirt: Minirt, image: str, words: list[str], complaint: str) -> None:
    minirt(*SUBNET)
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    guest(minirt, "other")  # so that the default network is there, and up
    assert complaint in refused(minirt, 125, "run", "-d", "--name", "one", *words, image, "true")
    assert look(minirt, "web") == web


def test_a_full_network_says_so_and_has_room_again_when_one_leaves(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "--subnet", "10.9.0.0/29", "small")
    for number in range(5):
        guest(minirt, f"c{number}", "--net", "small")
    said = refused(minirt, 125, "run", "--net", "small", image, "true")
    assert "no available IPv4 addresses on this network's address pools: small" in said
    minirt("rm", "-f", "c3")
    assert guest(minirt, "next", "--net", "small").address == "10.9.0.5"


def test_a_network_in_use_says_by_whom_and_the_default_one_stays(
    minirt: Minirt, image: str
) -> None:
    minirt(*SUBNET)
    guest(minirt, "web", "--net", "net1")
    guest(minirt, "db", "--net", "net1")
    guest(minirt, "other")
    assert "in use by db, web" in refused(minirt, 1, "network", "rm", "net1")
    assert "in use by db, web" in refused(minirt, 1, "network", "rm", "-f", "net1")
    for name in ("bridge", "host", "none"):
        assert "pre-defined" in refused(minirt, 1, "network", "rm", name)
    assert "nosuch not found" in refused(minirt, 1, "network", "rm", "nosuch")
    minirt("rm", "-f", "web", "db")
    assert minirt("network", "rm", "net1").stdout == "net1\n"


def test_a_container_whose_network_was_removed_says_so_at_its_start(
    minirt: Minirt, image: str
) -> None:
    minirt(*SUBNET)
    minirt("create", "--name", "one", "--net", "net1", image, "true")
    minirt("network", "rm", "net1")
    assert "not found" in refused(minirt, 1, "start", "one")
    minirt(*SUBNET)  # It is another one, though of the same name.
    assert "not found" in refused(minirt, 1, "start", "one")
    minirt("rm", "one")
