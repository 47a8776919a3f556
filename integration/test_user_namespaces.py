"""Containers in a user namespace: ids of their own (config-linux.md, "User namespaces")."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.own_ids import COUNT, FIRST, WHO, bundle, grant, join, mapping, with_ids
from integration.sandbox import in_netns, started
from minirt.errors import InvalidRequest, MinirtError
from minirt.kernel import overlay

__all__ = ["bundle"]  # fixtures

HALF = 500_000  # where another container's ids begin


# ---- who is who --------------------------------------------------------------------------------


def test_its_root_is_nobody_outside(bundle: Bundle) -> None:
    script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups"
    ended = bundle.run("sh", "-c", script)
    line = f"         0    {FIRST}      {COUNT}"
    assert ended.lines == ["0", "0", line, line, "allow"]
    with bundle.running() as created:
        found = Path(f"/proc/{created.pid}").stat()
    assert (found.st_uid, found.st_gid) == (FIRST, FIRST)


def test_its_files_look_as_they_are_and_are_kept_as_they_look(bundle: Bundle) -> None:
    """No file is changed for it: layers stay shared, and its own can have other ids tomorrow."""
    layer = bundle.add_layer("files")
    (layer / "www").write_text("x")
    os.chown(layer / "www", 33, 33)
    script = f"{WHO} / /bin/sh /www; echo more >> /www; echo > /new; touch /his; chown 5:6 /his"
    ended = bundle.run("sh", "-c", f"{script}; mkdir /folder; rm /etc/group; {WHO} /new /his /www")
    assert ended.lines == ["0:0", "0:0", "33:33", "0:0", "5:6", "33:33"]
    owners = {one.name: (one.stat().st_uid, one.stat().st_gid) for one in bundle.changes.iterdir()}
    assert owners["new"] == owners["folder"] == (0, 0)
    assert (owners["his"], owners["www"]) == ((5, 6), (33, 33))
    assert (layer / "www").read_text() == "x"
    again = with_ids(bundles.make(bundle.top / "again", bundle.layers[-1]), HALF)
    again.layers[:0] = [bundle.changes, layer]
    assert again.run("sh", "-c", f"{WHO} /new /his /www").lines == ["0:0", "5:6", "33:33"]


def test_layers_are_also_mapped_where_they_are_named_in_one_string(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Linux before 6.8 takes them."""

    def refuse(*_places: object) -> int:
        raise OSError(errno.EINVAL, "no such parameter: lowerdir+")

    monkeypatch.setattr(overlay, "_assembled", refuse)
    (bundle.add_layer("odd:name,with\\all") / "more").touch()
    ended = bundle.run("sh", "-c", f"touch /new; {WHO} /new /more /bin/sh")
    assert ended.lines == ["0:0", "0:0", "0:0"]
    assert (bundle.changes / "new").stat().st_uid == 0


def test_users_and_groups_are_those_of_the_inside(bundle: Bundle) -> None:
    bundle.setting["user"] = "www"
    script = "id -u; id -G; echo said > /dev/stdout; touch /tmp/x && stat -c %u /tmp/x"
    bundle.mount("/tmp", "tmpfs", "tmpfs", "mode=1777")
    assert bundle.run("sh", "-c", script).lines == ["33", "33 50", "said", "33"]


def test_an_id_that_is_not_mapped_is_refused(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": COUNT, "gid": 0}
    with pytest.raises(MinirtError, match="Invalid argument"):
        bundle.run("true")


# ---- its world ---------------------------------------------------------------------------------


def test_all_its_namespaces_belong_to_it(bundle: Bundle) -> None:
    """Its root may do with them what root may do."""
    grant(bundle, "CAP_SYS_ADMIN", "CAP_NET_ADMIN")
    script = "hostname other && hostname && ip link set lo up && mount -t tmpfs x /tmp"
    assert bundle.run("sh", "-c", f"{script} && echo done").lines == ["other", "done"]


def test_every_usual_mount_is_there(bundle: Bundle) -> None:
    ended = bundle.run("cat", "/proc/self/mounts")
    kinds = {line.split()[1]: line.split()[2] for line in ended.lines}
    assert [kinds[path] for path in ("/proc", "/dev", "/dev/pts", "/sys")] == [
        *("proc", "tmpfs", "devpts", "sysfs")
    ]
    assert (kinds["/dev/mqueue"], kinds["/dev/shm"]) == ("mqueue", "tmpfs")
    assert "/proc/sys" in kinds and "/sys/fs/cgroup" in kinds


def test_devices_can_be_used(bundle: Bundle) -> None:
    script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 2 /dev/urandom | wc -c"
    assert bundle.run("sh", "-c", f"{script}; tty < /dev/tty").lines[:2] == ["3", "2"]


def test_it_has_a_terminal_of_its_own(bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    ended = bundle.run("sh", "-c", f"tty; {WHO} /dev/pts/0; echo x > /dev/console")
    assert ended.lines == ["/dev/pts/0", "0:5", "x"]


def test_kernel_parameters_and_names_are_set(bundle: Bundle) -> None:
    bundle.config["domainname"] = "example.org"
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1000"}
    files = "net/ipv4/ip_forward kernel/shmmax kernel/domainname kernel/hostname"
    ended = bundle.run("sh", "-c", f"cd /proc/sys; cat {files}")
    assert ended.lines == ["1", "1000", "example.org", "one"]


def test_limits_and_the_oom_score_are_set(bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]
    bundle.process["oomScoreAdj"] = 77
    script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"
    with bundle.running() as created:
        other = bundles.enter_and_wait(created, "sh", "-c", script)
    assert bundle.run("sh", "-c", script).lines == other.lines == ["50", "60", "77"]


def test_capabilities_are_those_that_were_granted(bundle: Bundle) -> None:
    granted = bundle.process["capabilities"]["bounding"]
    plain = bundle.run("grep", "Cap", "/proc/self/status")
    assert "CapEff:\t00000000a80425fb" in plain.lines and "CAP_CHOWN" in granted
    bundle.process["noNewPrivileges"] = True
    assert bundle.run("grep", "Cap", "/proc/self/status").output == plain.output


def test_it_may_have_clocks_of_its_own(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    seen = float(bundle.run("cat", "/proc/uptime").output.split()[0])
    assert seen > float(Path("/proc/uptime").read_text().split()[0]) + 900_000


def test_hooks_run_with_its_rights_once_they_run_in_it(bundle: Bundle) -> None:
    """A createContainer hook begins in the root, to which the container's root has no path."""
    script = "(id -u; ls -d proc/self) > said"
    outside = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    inside = {"path": "/bin/sh", "args": ["sh", "-c", "id -u > /hooked"]}
    bundle.config["hooks"] = {"createContainer": [outside], "startContainer": [inside]}
    assert bundle.run("cat", "/hooked", "/said").lines == ["0", "0", "proc/self"]


# ---- one more process --------------------------------------------------------------------------


def test_exec_is_root_of_the_inside_too(bundle: Bundle) -> None:
    script = "id -u; cat /proc/self/uid_map; echo said > /dev/stdout; readlink /proc/self/ns/user"
    with bundle.running() as created:
        own = str(Path(f"/proc/{created.pid}/ns/user").readlink())
        other = bundles.enter_and_wait(created, "sh", "-c", script)
        assert other.lines == ["0", f"         0    {FIRST}      {COUNT}", "said", own]
        assert bundles.enter_and_wait(created, "id", "-u", user="www").lines == ["33"]
        shown = bundles.enter_and_wait(created, "sh", "-c", f"tty; {WHO} $(tty)", terminal=True)
        assert shown.lines == ["/dev/pts/0", "0:5"]


# ---- namespaces that exist ---------------------------------------------------------------------


@pytest.fixture
def other(bundle: Bundle, rootfs: Path) -> Bundle:
    return bundles.make(bundle.top / "other", rootfs)


def test_a_user_namespace_is_joined_with_what_belongs_to_it(bundle: Bundle, other: Bundle) -> None:
    with bundle.running() as created:
        join(other, created.pid, "user", "network", "ipc", "uts", "pid")
        other.config["hostname"] = ""
        # podman gives a mapping that means nothing; the namespace's own hold.
        other.linux.update(uidMappings=mapping(0, 1), gidMappings=mapping(0, 1))
        other.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
        script = f"cat /proc/self/uid_map; hostname; {WHO} /bin/sh; ps -o comm | grep -c sleep"
        ended = other.run("sh", "-c", script)
        line = f"         0    {FIRST}      {COUNT}"
        assert ended.lines == [line, "one", "0:0", "1"]
        seen = bundles.enter_and_wait(created, "cat", "/proc/sys/net/ipv4/ip_forward")
        assert seen.lines == ["1"]


def test_namespaces_of_the_host_are_joined_by_one_with_ids_of_its_own(bundle: Bundle) -> None:
    """/sys shows the network, whoever that belongs to."""
    with started("unshare", "--net", "sh", "-c", "echo; exec sleep 100") as keeper:
        assert keeper.stdout and keeper.stdout.readline()
        make = ("ip", "link", "add", "test-one", "type", "veth", "peer", "name", "test-two")
        in_netns(keeper.pid, *make)
        join(bundle, keeper.pid, "network")
        assert "test-two" in bundle.run("ls", "/sys/class/net").lines


@pytest.mark.parametrize("kind", ["network", "ipc", "cgroup", "uts"])
def test_a_namespace_of_the_host_can_be_shared(bundle: Bundle, kind: str) -> None:
    left = [one for one in bundle.linux["namespaces"] if one["type"] != kind]
    bundle.linux["namespaces"] = left
    if kind == "uts":
        bundle.config["hostname"] = ""
    if kind == "cgroup":  # Of version 1 it can only be mounted from a group of one's own.
        bundle.config["mounts"] = [
            one for one in bundle.config["mounts"] if one["type"] != "cgroup"
        ]
    name = "net" if kind == "network" else kind
    own = str(Path(f"/proc/self/ns/{name}").readlink())
    assert bundle.run("readlink", f"/proc/self/ns/{name}").output.strip() == own


def test_one_without_root_is_refused(bundle: Bundle) -> None:
    with started("unshare", "--user", "sh", "-c", "echo; exec sleep 100") as keeper:
        assert keeper.stdout and keeper.stdout.readline()
        join(bundle, keeper.pid, "user")
        bundle.linux.update(uidMappings=[], gidMappings=[])
        with pytest.raises(InvalidRequest, match="maps no root"):
            bundle.create("true")
    join(bundle, os.getpid(), "user")
    with pytest.raises(InvalidRequest, match="Cannot join the namespace"):
        bundle.create("true")
