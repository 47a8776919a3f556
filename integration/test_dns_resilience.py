"""The resolver killed, stopped and started again: others notice nothing, or a moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from integration.naming import QUERY, Box, box, client_in, descriptors_of, lone_web, resolver_pid
from integration.sandbox import (
    PATIENCE,
    command_lines,
    needs_tool,
    wait_until,
    wait_until_gone,
)
from minirt.errors import KernelRefused
from minirt.kernel import clone, processes
from minirt.kernel.namespaces import Namespace
from minirt.network import resolver_link
from minirt.state import run_dir

pytestmark = needs_tool("dig", "nft")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Box]:
    """Return a container on net1."""
    with lone_web(tmp_path) as made:
        yield made


def kill_resolver(network: str) -> None:
    pid = resolver_pid(network)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def test_a_query_asked_while_no_resolver_lives_is_answered_by_the_next(web: Box) -> None:
    assert web.dig("web").records == ["10.1.0.2"]
    kill_resolver("net1")
    with client_in(web.pid) as client:
        client.send(QUERY)
        web.connect()  # what the monitor does when its connection ends
        assert client.recv(512)[-4:] == bytes([10, 1, 0, 2])


def test_the_monitor_hears_of_the_resolvers_death(web: Box) -> None:
    assert web.link is not None
    web.dig("web")
    kill_resolver("net1")
    assert web.link.recv(1) == b""


def test_all_monitors_that_wake_together_find_one_resolver(web: Box) -> None:
    with box("net1") as second, box("net1") as third:
        boxes = [web, second, third]
        assert len({one.dig("web").records[0] for one in boxes}) == 1
        kill_resolver("net1")
        children = [processes.fork(lambda one=one: reconnect(one)) for one in boxes]  # type: ignore[misc]
        assert [processes.wait(child) for child in children] == [0, 0, 0]
    assert sum(1 for line in resolvers() if "net1" in line) <= 1


def monitor(made: Box) -> int:
    """Be a monitor for as long as the container lives: connect, and again when that ends."""
    while True:
        with suppress(OSError):  # It may die before it hears us, or before it has read our message.
            made.connect()
            assert made.link is not None
            made.link.setblocking(True)
            made.link.recv(1)
        while True:  # It is process 1 of its PID namespace, and buries its orphans.
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    break
            except ChildProcessError:
                break


def test_monitors_replace_it_even_when_the_new_one_dies_with_its_monitor(web: Box) -> None:
    with box("net1") as other:
        monitors: dict[int, Box] = {}
        for one in (web, other):
            born = clone.clone(lambda one=one: monitor(one), Namespace.PID)  # type: ignore[misc]
            os.close(born.pidfd)
            monitors[born.pid] = one
            assert one.link is not None
            one.link.close()  # From here on only the forked monitor holds a connection.
            one.link = None
        kill_resolver("net1")
        for one in monitors.values():
            assert one.dig("web").records == ["10.1.0.2"]
        starter = parent_namespace_of(resolver_pid("net1"), list(monitors))
        processes.kill(starter)
        del monitors[starter]
        for pid, one in monitors.items():
            assert one.dig("web").records == ["10.1.0.2"]
            assert parent_namespace_of(resolver_pid("net1"), [pid]) == pid
            processes.kill(pid)


def parent_namespace_of(pid: int, monitors: list[int]) -> int:
    """Return the monitor in whose PID namespace a process lives."""
    wanted = Path(f"/proc/{pid}/ns/pid").readlink()
    return next(one for one in monitors if Path(f"/proc/{one}/ns/pid").readlink() == wanted)


def test_sockets_move_from_one_networks_resolver_to_anothers(web: Box) -> None:
    web.take("net2", "10.2.0.2", "web")
    assert web.dig("web").records == ["10.1.0.2"]
    web.network = "net2"
    web.words["networks"] = ["net2"]
    web.connect()
    # Until the old one has noticed, both read the socket, and either answers.
    wait_until(lambda: web.dig("web").records == ["10.2.0.2"], "the new resolver's answer")
    with client_in(web.pid) as client:
        for _ in range(20):
            client.send(QUERY)
            assert client.recv(512)[-4:] == bytes([10, 2, 0, 2])
    resolver_link.dismiss("net1")


def reconnect(made: Box) -> int:
    """Be a monitor whose resolver died: connect, and see that it answers."""
    made.connect()
    return 0 if made.dig("web").records == ["10.1.0.2"] else 1


def resolvers() -> list[str]:
    shown = map(" ".join, command_lines().values())
    return [words for words in shown if "minirt.network.resolver" in words]


def crowd() -> int:
    return sum("crowd" in one for one in resolvers())


def test_many_that_start_at_once_find_one_resolver() -> None:
    def main() -> int:
        link = resolver_link.connect("crowd")
        resolver_link.introduce(link, container="x", networks=["crowd"])
        time.sleep(0.5 * PATIENCE)
        link.close()
        return 0

    children = [processes.fork(main) for _ in range(20)]
    wait_until(lambda: crowd() > 0, "a resolver")
    assert crowd() == 1
    assert {processes.wait(child) for child in children} == {0}
    assert crowd() == 1
    resolver_link.dismiss("crowd")


def test_it_leaves_with_nobody_and_a_newcomer_gets_another(web: Box) -> None:
    first = resolver_pid("net1")
    web.die()
    resolver_link.dismiss("net1")
    wait_until_gone(first)
    with box("net1") as again:
        again.take("net1", "10.1.0.5", "again")
        assert again.dig("again").records == ["10.1.0.5"]


def test_it_leaves_by_itself_after_a_while() -> None:
    link = resolver_link.connect("brief")
    pid = resolver_pid("brief")
    link.close()
    wait_until_gone(pid)


def test_a_stopped_resolver_stops_nobody_else(web: Box) -> None:
    web.dig("web")
    pid = resolver_pid("net1")
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    link = resolver_link.connect("net1")
    resolver_link.introduce(link, container="x", networks=["net1"])
    assert time.monotonic() - start < 1 * PATIENCE
    link.close()
    os.kill(pid, signal.SIGCONT)
    assert web.dig("web").records == ["10.1.0.2"]


def test_one_that_keeps_dying_is_not_started_for_ever() -> None:
    with pytest.raises(KernelRefused, match="keeps dying"):
        for _ in range(8):
            resolver_link.connect("doomed").close()
            kill_resolver("doomed")


def test_it_belongs_to_no_session_and_holds_only_what_it_needs(web: Box) -> None:
    web.dig("web")
    pid = resolver_pid("net1")
    assert os.getsid(pid) == pid
    held = sorted(one.split(":")[0] for one in descriptors_of(pid))
    assert held.count("socket") == 4  # its own, the connection, and the container's two
    assert held.count("pipe") == 2  # through which it hears of signals
    others = [one for one in held if one not in ("socket", "pipe", "/dev/null", "anon_inode")]
    assert [Path(one).name for one in others] == ["resolver.lock", "resolver.log"]
    assert Path(f"/proc/{pid}/cwd").readlink() == run_dir() / "networks"
    assert Path(f"/proc/{pid}/environ").read_bytes().count(b"\0") == 1


def test_sockets_that_come_twice_are_not_held_twice(web: Box) -> None:
    web.dig("web")
    pid = resolver_pid("net1")
    before = sockets_of(pid)
    for _ in range(3):
        web.tell(sockets=web.sockets)
    assert web.dig("web").records == ["10.1.0.2"]
    assert sockets_of(pid) == before


def test_a_dead_containers_sockets_are_closed_at_once(web: Box) -> None:
    with box("net1") as other:
        assert other.dig("web").records == ["10.1.0.2"]
        other.die()
        pid = resolver_pid("net1")
        wait_until(lambda: sockets_of(pid) == 4, "the sockets' end", seconds=2)


def sockets_of(pid: int) -> int:
    return sum(one.startswith("socket") for one in descriptors_of(pid))
