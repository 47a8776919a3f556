"""A container fills its network namespace (CAP_NET_ADMIN): what is read of that has a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import HERE, Minirt
from integration.containers import pid_of
from integration.greed import wait_until_ready
from integration.peaks import all_stay_small
from integration.sandbox import compiled, in_netns
from minirt.explain import neighbourhood

NET_ADMIN = ("run", "-d", "--name", "one", "--cap-add", "NET_ADMIN", "--net", "net1")
VERBS = (
    ("network", "path", "one", "host"),
    ("network", "explain", "net1"),
    ("network", "doctor", "net1"),
    ("dns", "trace", "--from", "one", "one"),
)


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that fills the tables of a network namespace."""
    return compiled(HERE / "crowd.c", tmp_path_factory.mktemp("crowd"))


def told(minirt: Minirt) -> list[str]:
    """Return what each verb prints that looks into the namespaces of containers."""
    with all_stay_small():
        return [minirt(*verb, code=None, seconds=60).stdout for verb in VERBS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "count"),
    [("routes", 300_000), ("neighbours", 300_000), ("addresses", 20_000), ("links", 300)],
)
def test_tables_of_a_network_namespace(
    minirt: Minirt, image: str, crowd: Path, what: str, count: int
) -> None:
    minirt("network", "create", "net1")
    minirt(*NET_ADMIN, "-v", f"{crowd}:/crowd", image, "/crowd", what, count)
    wait_until_ready(minirt)
    path, picture, findings, names = told(minirt)
    assert "It arrives: the host." in path
    assert "one. 0 A 172." in names
    is_cut = what in ("addresses", "links")
    assert (f"one has {neighbourhood.MOST} links or addresses, or more" in path) == is_cut
    assert ("(it has more than is looked at)" in picture) == is_cut
    assert ("links or addresses, or more" in findings) == is_cut
    assert len(picture) < 8192


def test_few_links_and_addresses_are_all_there(minirt: Minirt, image: str, crowd: Path) -> None:
    """The control: nothing is cut of what a container needs."""
    minirt("network", "create", "net1")
    minirt(*NET_ADMIN, "-v", f"{crowd}:/crowd", image, "/crowd", "addresses", 10)
    wait_until_ready(minirt)
    path, picture, findings, _ = told(minirt)
    assert "or more" not in path + findings and "than is looked at" not in picture
    assert "and 5 more" in picture  # addresses: --json has them all


def filled(minirt: Minirt, image: str, rules: str) -> None:
    """Run a container with these rules in its own packet filter."""
    minirt("network", "create", "net1")
    minirt(*NET_ADMIN, image, "sleep", "1000")
    in_netns(pid_of(minirt, "one"), "nft", "-f", "-", input=rules, seconds=60)


HEAD = "type filter hook output priority 0;"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rules", "elements"])
def test_a_packet_filter_that_is_too_large_is_not_read(
    minirt: Minirt, image: str, kind: str
) -> None:
    if kind == "rules":
        rules = f'ip daddr 10.0.0.1 counter accept comment "{"x" * 100}"\n' * 20_000
        filled(minirt, image, f"table ip t {{\nchain c {{ {HEAD}\n{rules} }}\n}}\n")
    else:
        keys = ", ".join(f"10.0.{n >> 8}.{n & 255}" for n in range(60_000))
        table = f"set s {{ type ipv4_addr; elements = {{ {keys} }}; }}"
        filled(minirt, image, f"table ip t {{\n{table}\nchain c {{ {HEAD}\n}}\n}}\n")
    path, *_ = told(minirt)
    assert "It arrives: the host." in path
    assert "What could not be read, and may decide otherwise:\n  the packet filter of one" in path


def test_a_packet_filter_of_usual_size_decides(minirt: Minirt, image: str) -> None:
    """The control."""
    rule = "icmp type echo-request drop"
    filled(minirt, image, f"table ip t {{\nchain c {{ {HEAD}\n{rule}\n}}\n}}\n")
    failed = minirt("network", "path", "one", "host", code=1).stdout
    assert f"REFUSED: one's rule ip t c: {rule}" in failed


@pytest.mark.slow
def test_jumps_that_multiply_rules_are_followed_for_a_while(minirt: Minirt, image: str) -> None:
    """Of thirteen chains each jumps to the next three times: two million rules in a row."""
    chains = ["chain c13 { counter; }"]
    chains += [f"chain c{n} {{ {f'jump c{n + 1}; ' * 3} }}" for n in reversed(range(13))]
    chains.append(f"chain first {{ {HEAD} jump c0; }}")
    filled(minirt, image, "table ip t {\n" + "\n".join(chains) + "\n}\n")
    path, *_ = told(minirt)
    assert "It arrives: the host." in path
    assert "rules in a row" in path
