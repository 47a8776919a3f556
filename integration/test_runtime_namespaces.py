"""Worlds of one's own: which namespaces a container gets, joins, or shares with the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.sandbox import started
from integration.traces import Ground
from minirt.errors import InvalidRequest
from minirt.kernel import processes
from minirt.kernel.clone import Child


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def own(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


def share(bundle: Bundle, kind: str, path: str | None = None) -> None:
    """Take a namespace of the host, or join the one at a path."""
    others = [one for one in bundle.linux["namespaces"] if one["type"] != kind]
    bundle.linux["namespaces"] = others + ([{"type": kind, "path": path}] if path else [])


def test_the_command_is_process_1_of_a_world_of_its_own(bundle: Bundle) -> None:
    seen = bundle.run(
        "sh", "-c", "echo $$; hostname; for n in /proc/self/ns/*; do readlink $n; done"
    )
    assert seen.lines[:2] == ["1", "one"]
    inside = dict(line.split(":") for line in seen.lines[2:])
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert inside[kind] != own(kind).partition(":")[2], f"it shares {kind} with the host"
    assert f"user:{inside['user']}" == own("user")


def test_it_may_have_a_time_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    seen = bundle.run("readlink", "/proc/self/ns/time")
    assert seen.output.startswith("time:") and seen.output.strip() != own("time")
    with bundle.running() as created:
        other = bundles.enter_and_wait(created, "readlink", "/proc/self/ns/time")
        inits = Path(f"/proc/{created.pid}/ns/time").readlink()
    assert other.output.strip() == str(inits)


@pytest.mark.parametrize("kind", ["network", "ipc", "cgroup"])
def test_a_namespace_that_is_not_asked_for_is_the_hosts(bundle: Bundle, kind: str) -> None:
    share(bundle, kind)
    name = "net" if kind == "network" else kind
    assert bundle.run("readlink", f"/proc/self/ns/{name}").output.strip() == own(name)


@pytest.mark.parametrize(("kind", "name"), [("network", "net"), ("ipc", "ipc"), ("pid", "pid")])
def test_a_namespace_given_by_its_path_is_joined(bundle: Bundle, kind: str, name: str) -> None:
    options = (f"--{'net' if kind == 'network' else kind}", "--fork", "--kill-child")
    with started("unshare", *options, "sh", "-c", "echo; exec sleep 100") as other:
        assert other.stdout
        other.stdout.readline()
        child = Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().strip()
        path = f"/proc/{child}/ns/{name}"
        theirs = str(Path(path).readlink())
        share(bundle, kind, path)
        assert bundle.run("readlink", f"/proc/self/ns/{name}").output.strip() == theirs


@pytest.mark.parametrize("kind", ["network", "pid"])
def test_a_path_to_a_namespace_of_another_kind_is_refused(bundle: Bundle, kind: str) -> None:
    share(bundle, kind, "/proc/self/ns/ipc")
    with pytest.raises(InvalidRequest, match="Cannot join the namespace /proc/self/ns/ipc"):
        bundle.create("true")


def test_kernel_parameters_reach_its_own_namespaces_only(bundle: Bundle) -> None:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    before = path.read_text()
    wanted = "0" if before.strip() == "1" else "1"
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": wanted, "kernel.msgmax": "4321"}
    seen = bundle.run("cat", str(path), "/proc/sys/kernel/msgmax")
    assert seen.lines == [wanted, "4321"]
    assert path.read_text() == before


def test_a_domain_name_is_set(bundle: Bundle) -> None:
    bundle.config["domainname"] = "example.org"
    assert bundle.run("cat", "/proc/sys/kernel/domainname").output == "example.org\n"


def test_its_namespaces_can_be_used_while_init_still_mounts(bundle: Bundle) -> None:
    seen: list[str] = []

    def on_isolated(init: Child) -> None:
        pid = processes.pid_as_seen_from_proc(init.pidfd)
        seen.append(str(Path(f"/proc/{pid}/ns/net").readlink()))

    created = bundle.create("true", on_isolated=on_isolated)
    bundles.started_or_discarded(created)
    bundles.collected(created)
    assert seen and seen[0] != own("net")


def test_a_creator_that_fails_while_wiring_leaves_no_init(bundle: Bundle) -> None:
    def on_isolated(init: Child) -> None:
        os.kill(os.getpid(), 0)
        raise InvalidRequest("no wire")

    with pytest.raises(InvalidRequest, match="no wire"):
        bundle.create("true", on_isolated=on_isolated)
