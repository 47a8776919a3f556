"""What is left of a resolver's rights, and what somebody who had taken it over could do."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.naming import Box, box, lone_web, resolver_pid
from integration.sandbox import needs_tool, shell
from minirt.network.lease_folder import GROUP
from minirt.network.resolver_user import user_of
from minirt.state import run_dir

pytestmark = needs_tool("dig", "nft")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Box]:
    """Return a container on net1."""
    with lone_web(tmp_path) as made:
        assert made.dig("web").records == ["10.1.0.2"]
        yield made


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: " ".join(value.split()) for key, _, value in (one.partition(":") for one in lines)}


def test_it_is_a_user_of_its_own_without_any_capability(web: Box) -> None:
    found = status_of(resolver_pid("net1"))
    assert found["Uid"].split() == [str(user_of("net1"))] * 4
    assert found["Gid"].split() == [str(GROUP)] * 4
    assert found["Groups"] == ""
    sets = {found[f"Cap{one}"] for one in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert sets == {"0000000000000000"}
    assert found["NoNewPrivs"] == "1"


def test_its_limits_are_its_own(web: Box) -> None:
    lines = Path(f"/proc/{resolver_pid('net1')}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max processes"] == ["0", "0"]
    assert limits["Max data size"] == [str(1 << 29)] * 2
    assert limits["Max file size"] == [str(1 << 20)] * 2
    assert int(limits["Max open files"][0]) <= 1 << 16


def test_two_resolvers_are_two_users(web: Box) -> None:
    with box("net2") as other:
        other.take("net2", "10.2.0.2", "web")
        assert other.dig("web").records == ["10.2.0.2"]
        uids = {status_of(resolver_pid(name))["Uid"] for name in ("net1", "net2")}
    assert len(uids) == 2


# What a stranger's code would try in the resolver's place; it prints what succeeded.
ATTACK = """
import json, os, signal, socket, sys
user, group, folder, bystander, other = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
os.chdir(folder + "/networks")
if user:
    os.setgroups([]); os.setresgid(group, group, group); os.setresuid(user, user, user)
tries = {
    "read a lease": lambda: open("net1/leases/10.1.0.2").read(),
    "list leases": lambda: os.listdir("net1/leases"),
    "write a lease": lambda: os.close(os.open("net1/leases/10.1.0.2", os.O_WRONLY)),
    "make a lease": lambda: open("net1/leases/10.1.0.3", "x").close(),
    "remove a lease": lambda: os.unlink("net1/leases/10.1.0.9"),
    "list networks": lambda: os.listdir("."),
    "climb": lambda: os.listdir(".."),
    "climb by name": lambda: os.stat("../containers"),
    "read a record": lambda: os.listdir(folder + "/containers"),
    "take the ports' lock": lambda: open(".ports", "r+").close(),
    "take another's lock": lambda: open("net1/resolver.lock", "r+").close(),
    "pose as a monitor": lambda: socket.socket(
        socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("net1/resolver.sock"),
    "replace the socket": lambda: os.rename("net1/resolver.sock", "net1/x"),
    "signal a process": lambda: os.kill(int(bystander), 0),
    "signal a resolver": lambda: os.kill(int(other), 0),
    "look into a process": lambda: os.readlink(f"/proc/{bystander}/exe"),
}
done = []
for name, attempt in tries.items():
    try:
        attempt()
        done.append(name)
    except (OSError, AttributeError):
        pass
print(json.dumps(done))
"""


def attack(user: int, group: int, other: int) -> set[str]:
    """Return what somebody with this user and group can do, who works in RUN/networks."""
    words = (user, group, run_dir(), os.getpid(), other)
    return set(json.loads(shell(sys.executable, "-c", ATTACK, *words).stdout))


def test_who_takes_it_over_can_read_leases_and_nothing_else(web: Box) -> None:
    (run_dir() / "containers").mkdir(mode=0o700)
    (run_dir() / "networks/net1/leases/10.1.0.9").touch()
    with box("net2") as two:
        two.take("net2", "10.2.0.2", "db")
        assert two.dig("db").records == ["10.2.0.2"]
        other = resolver_pid("net2")
        able = attack(user_of("net1"), GROUP, other)
        assert able == {"read a lease", "list leases"}
        # Controls: nobody can't even do that, and root can do all the rest.
        assert attack(user_of("net1"), 65534, other) == set()
        rest = {"write a lease", "climb", "read a record", "pose as a monitor", "signal a process"}
        assert rest | {"signal a resolver", "replace the socket"} <= attack(0, 0, other)


def test_a_real_lease_is_readable_by_the_group_only(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    words = ("sh", "-c", 'umask 077; exec "$0" -m minirt "$@"', sys.executable)
    shell(*words, "run", "-d", "--name", "web", "--net", "net1", image, "sleep", "99")
    folder = run_dir() / "networks/net1/leases"
    (lease,) = folder.iterdir()
    for path, mode in ((lease, 0o640), (folder, 0o2750), (folder.parent, 0o2710)):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (0, GROUP)
        assert stat.S_IMODE(found.st_mode) == mode
    assert "Address" in minirt("exec", "web", "nslookup", "-type=a", "web").stdout
    assert stat.S_IMODE(run_dir().stat().st_mode) == 0o700


def test_leases_of_an_earlier_version_are_opened_to_it(web: Box) -> None:
    folder = run_dir() / "networks/net2/leases"
    web.take("net2", "10.2.0.2", "old")
    for path, mode in ((folder / "10.2.0.2", 0o600), (folder, 0o700), (folder.parent, 0o700)):
        os.chown(path, 0, 0)
        path.chmod(mode)
    web.tell(networks=["net1", "net2"])
    assert web.dig("old").records == ["10.2.0.2"]


def test_it_imports_nothing_after_it_has_given_up_root(web: Box) -> None:
    """The files of the program may be root's alone: after the start they are out of reach."""
    words = ("strace", "-f", "-e", "trace=%file,setresuid", sys.executable, "-c", STARTED)
    shown = shell(*words, run_dir() / "networks", code=None).stderr
    before, given_up, after = shown.partition("setresuid(")
    assert given_up
    assert ".py" in before
    assert ".py" not in after, after


STARTED = """
import sys, threading, os
from minirt.network import resolver
threading.Timer(1, lambda: os._exit(0)).start()
resolver.main(sys.argv[1], "net9")
"""
