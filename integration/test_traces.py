"""What looks for leaks after each test sees them: each kind is leaked here, seen, and removed."""

from __future__ import annotations

from collections.abc import Iterable

from integration import traces
from integration.sandbox import needs_tool, shell, started, wait_until_gone
from integration.traces import Ground


def new(ground: Ground, before: dict[str, set[str]], kinds: Iterable[str]) -> dict[str, set[str]]:
    now = traces.now(ground)
    return {kind: now[kind] - before[kind] for kind in kinds}


def test_leak_check_sees_links_but_neither_bridges_nor_those_of_tests(ground: Ground) -> None:
    before = traces.now(ground)
    shell("ip", "link", "add", "leak0", "type", "veth", "peer", "name", "leak1")
    shell("ip", "link", "add", "bridge0", "type", "bridge")
    shell("ip", "link", "add", "test-0", "type", "veth", "peer", "name", "test-1")
    assert new(ground, before, ["links"]) == {"links": {"leak0", "leak1"}}
    shell("ip", "link", "delete", "leak0")
    assert new(ground, before, ["links"]) == {"links": set()}


@needs_tool("nft")
def test_leak_check_sees_foreign_tables_and_elements_of_own_ones(ground: Ground) -> None:
    before = traces.now(ground)
    ports = "map ip minirt pub4 { type inet_service : inet_service; }"
    shell("nft", f"add table ip minirt; add {ports}; add table inet foreign")
    assert new(ground, before, ["packet filters"]) == {"packet filters": {"table inet foreign"}}
    shell("nft", "add element ip minirt pub4 { 80 : 8080 }")
    shell("nft", "delete table inet foreign")
    assert new(ground, before, ["packet filters"]) == {"packet filters": {"pub4: [80, 8080]"}}
    shell("nft", "flush map ip minirt pub4")
    assert new(ground, before, ["packet filters"]) == {"packet filters": set()}


def test_leak_check_sees_processes_and_their_namespaces_and_mounts(ground: Ground) -> None:
    before = traces.now(ground)
    kinds = ("processes", "network namespaces", "mounts")
    place = ground.root.parent / "leak"
    place.mkdir()
    shell("mount", "-t", "tmpfs", "leak", place)
    with started("unshare", "--net", "sh", "-c", "echo up; exec sleep infinity") as sleeper:
        assert sleeper.stdout and sleeper.stdout.readline() == "up\n"
        found = new(ground, before, kinds)
        assert [one.split()[0] for one in found["processes"]] == [str(sleeper.pid)]
        assert len(found["network namespaces"]) == 1
        assert found["mounts"] == {str(place)}
    wait_until_gone(sleeper.pid)
    shell("umount", place)
    assert new(ground, before, kinds) == {kind: set() for kind in kinds}
