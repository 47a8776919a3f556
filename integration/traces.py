"""What a test may leave behind in its sandbox: looking for it, and sweeping it away.

The kernel sweeps asynchronously: dead network namespaces in a work queue, dead cgroups by
RCU. So each look is repeated until nothing is found or patience ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from integration.sandbox import PATIENCE, cgroup_roots
from integration.warm import descriptors_of, waiting
from minirt.kernel import locks, nlmsg

# A dead namespace's links live on until the kernel has swept it, one batch after the other: mostly
# for milliseconds, but each batch waits for all RCU callbacks of the machine (rcu_barrier() in
# cleanup_net()), which was seen to take 7 seconds, and must have taken more than 30.
SECONDS = max(120.0, 5.0 * PATIENCE)
HARMLESS_LINKS = {"bridge"}  # A bridge belongs to its network, which may outlive its users.
HARMLESS_TABLES = "minirt"
# include/uapi/linux/rtnetlink.h, if_link.h; struct ifinfomsg, all of it 0
_RTM_GETLINK, _IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 3, 18, 1
_NO_FILTER = bytes(16)
# include/uapi/linux/netlink.h, netfilter/nf_tables.h; the first generation of a new namespace
_NETLINK_NETFILTER, _NFT_MSG_GETGEN, _NFTA_GEN_ID, _UNTOUCHED = 12, 10 << 8 | 16, 1, 1
SHARED_GROUPS = {"monitors"}  # One for all monitors: it stays when the last has left.


@dataclass(frozen=True, slots=True)
class Ground:
    """What belongs to one test."""

    root: Path
    run: Path
    cgroup: str  # the name of its own group, at the top of each hierarchy


Look = Callable[[Ground], set[str]]


def left_by(ground: Ground, before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is there now and was not before, once the kernel has had its time."""
    deadline = time.monotonic() + SECONDS
    while True:
        _bury_children()
        left = {name: look(ground) - before[name] for name, look in LOOKS.items()}
        left = {name: found for name, found in left.items() if found}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.002)


def now(ground: Ground) -> dict[str, set[str]]:
    """Return what is there."""
    return {name: look(ground) for name, look in LOOKS.items()}


def processes(ground: Ground) -> set[str]:
    """Return every process of the sandbox but its init, this one, and who waits for a command."""
    pids = {int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()}
    return {_described(pid) for pid in pids - {1, os.getpid()} - waiting(ground.run)} - {""}


def _bury_children() -> None:
    """Reap what the test has started and not waited for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _described(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return f"{pid} {words or name}"
    return ""


def mounts(_ground: Ground) -> set[str]:
    """Return every mount of the sandbox."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines}


def network_namespaces(ground: Ground) -> set[str]:
    """Return every network namespace that a process lives in or holds open, but spare ones."""
    found: set[str] = set()
    spare = waiting(ground.run)
    for process in Path("/proc").glob("[0-9]*"):
        held = [] if int(process.name) in spare else descriptors_of(int(process.name))
        found |= networks_among([process / "ns/net", *held])
    return found


def networks_among(places: Iterable[Path]) -> set[str]:
    """Return the network namespaces among links of /proc/PID/fd and /proc/PID/ns."""
    found: set[str] = set()
    for place in places:
        with contextlib.suppress(OSError):  # It went while we looked.
            found.add(str(place.readlink()))
    return {target for target in found if target.startswith("net:")}


def links(_ground: Ground) -> set[str]:
    """Return the links of the test's network that should have died with their users."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as line:  # 0: NETLINK_ROUTE
        nlmsg.send(line, _RTM_GETLINK, nlmsg.DUMP, _NO_FILTER)
        found = [_name_and_kind(message) for message in nlmsg.answers(line)]
    # lo and the like have no kind.
    return {
        name
        for name, kind in found
        if kind and kind not in HARMLESS_LINKS and not name.startswith("test-")
    }


def _name_and_kind(message: bytes) -> tuple[str, str]:
    """Read an answer to RTM_GETLINK (rtnetlink(7)): the link's name and driver, "" for none."""
    fields = nlmsg.attributes(message[len(_NO_FILTER) :])
    kind = nlmsg.attributes(fields.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    return fields[_IFLA_IFNAME].rstrip(b"\0").decode(), kind.rstrip(b"\0").decode()


def filters(_ground: Ground) -> set[str]:
    """Return nftables' tables that are not minirt's, and the elements of those that are."""
    if not shutil.which("nft") or _filters_generation() == _UNTOUCHED:
        return set()
    shown = subprocess.run(["nft", "--json", "list", "ruleset"], capture_output=True, check=True)
    found: set[str] = set()
    for one in json.loads(shown.stdout)["nftables"]:
        for kind, fields in one.items():
            if kind == "table" and not fields["name"].startswith(HARMLESS_TABLES):
                found.add(f"table {fields['family']} {fields['name']}")
            if kind == "map" and fields["name"].startswith("pub"):  # not what a network has
                elements = fields.get("elem", [])
                found.update(f"{fields['name']}: {json.dumps(each)}" for each in elements)
    return found


def _filters_generation() -> int:
    """Return how often nftables' rules have changed in this network namespace, and 1 more.

    The kernel counts every transaction (nft_base_seq of net/netfilter/nf_tables_api.c): where it
    counted none, there is nothing to list.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as line:
        nlmsg.send(line, _NFT_MSG_GETGEN, nlmsg.ACK, bytes(4))  # struct nfgenmsg
        (answer,) = nlmsg.answers(line)
    return int.from_bytes(nlmsg.attributes(answer[4:])[_NFTA_GEN_ID], "big")


def cgroups(ground: Ground) -> set[str]:
    """Return the groups below the test's own."""
    found = [one for root in cgroup_roots() for one in (root / ground.cgroup).glob("*/")]
    return {str(one) for one in found if one.name not in SHARED_GROUPS or _is_used(one)}


def _is_used(group: Path) -> bool:
    return bool((group / "cgroup.procs").read_text()) or bool([*group.glob("*/")])


def held_locks(ground: Ground) -> set[str]:
    """Return the files in the run directory that somebody living holds, but for fork servers."""
    files = [path for path in ground.run.rglob("*") if path.is_file() and not path.is_symlink()]
    files = [path for path in files if path.parent.name != "server"]
    return {str(path) for path in files if locks.is_held(path)}


def container_files(ground: Ground) -> set[str]:
    """Return what is left of containers, all of which have been removed."""
    folders = (ground.root / "containers", ground.root / "names", ground.run / "containers")
    return {str(one) for folder in folders if folder.exists() for one in folder.iterdir()}


LOOKS: dict[str, Look] = {
    "processes": processes,
    "mounts": mounts,
    "network namespaces": network_namespaces,
    "links": links,
    "packet filters": filters,
    "cgroups": cgroups,
    "locks": held_locks,
    "container files": container_files,
}


def sweep(ground: Ground, before: set[str]) -> None:
    """Kill what has been started since ``before``, so that the next test does not pay for it."""
    for described in processes(ground) - before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(described.split()[0]), signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while processes(ground) - before and time.monotonic() < deadline:
        _bury_children()
        time.sleep(0.001)


def remove_cgroups(ground: Ground) -> None:
    """Remove the test's own groups, the deepest first; a group is busy for a while."""
    deadline = time.monotonic() + SECONDS
    for root in cgroup_roots():
        top = root / ground.cgroup
        folders = [path for path in [*top.rglob("*/"), top] if path.is_dir()]
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.001)
