"""What the root of a container with ids of its own can't do: attacks, with controls."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration.bundles import Bundle
from integration.own_ids import COUNT, FIRST, bundle, grant, shared, without_ids
from integration.sandbox import shell, started, wait_until
from minirt.kernel import user_namespaces

__all__ = ["bundle", "shared"]  # fixtures


def test_it_may_not_write_to_files_of_the_hosts_root(bundle: Bundle, tmp_path: Path) -> None:
    """Suppose that a folder of the host has leaked in, as in CVE-2024-21626."""
    tmp_path.chmod(0o755)
    victim = tmp_path / "passwd"
    victim.write_text("untouched")
    bundle.mount("/leak", "bind", tmp_path, "rbind")
    attack = "echo rooted > /leak/passwd; rm /leak/passwd; chown 0 /leak/passwd; touch /leak/x"
    bundle.run("sh", "-c", attack)
    assert victim.read_text() == "untouched" and list(tmp_path.iterdir()) == [victim]
    without_ids(bundle)
    bundle.run("sh", "-c", "echo rooted > /leak/passwd")
    assert victim.read_text() == "rooted\n", "the control did nothing either"


def test_it_may_not_kill_what_it_sees_of_the_host(bundle: Bundle) -> None:
    left = [one for one in bundle.linux["namespaces"] if one["type"] != "pid"]
    bundle.linux["namespaces"] = left
    for has_ids in (True, False):
        with started("sleep", "100") as victim:
            seen = bundle.run("kill", str(victim.pid))
            if has_ids:
                assert seen.code == 1 and "not permitted" in seen.output
                assert victim.poll() is None
                without_ids(bundle)
            else:
                assert victim.wait(10) == -signal.SIGTERM, "the control did not kill"


def test_it_may_make_no_device_nodes(bundle: Bundle, tmp_path: Path) -> None:
    bundle.mount("/x", "bind", tmp_path, "bind", "idmap")
    make = "mknod /x/disk b 8 0 2>&-; echo $?; mknod /dev/null2 c 1 3 2>&-; echo $?"
    ended = bundle.run("busybox", "sh", "-c", make.replace("mknod", "busybox mknod"))
    assert ended.lines == ["1", "1"] and not (tmp_path / "disk").exists()
    bundle.config["mounts"].pop()
    without_ids(bundle)
    assert bundle.run("busybox", "mknod", "/tmp/disk", "b", "8", "0").code == 0


def test_it_may_mount_no_file_system_of_a_device(bundle: Bundle) -> None:
    grant(bundle, "CAP_SYS_ADMIN")
    ended = bundle.run("mount", "-t", "ext4", "/dev/null", "/tmp")
    assert ended.code and "permission denied" in ended.output
    assert bundle.run("mount", "-t", "tmpfs", "x", "/tmp").code == 0, "it may mount nothing at all"


def test_a_setuid_program_makes_nobody_root_outside(bundle: Bundle, shared: Path) -> None:
    tool = shared / "tool"
    tool.write_bytes((bundle.layers[-1] / "bin/busybox").read_bytes())
    tool.chmod(0o4755)
    bundle.mount("/x", "bind", shared, "bind", "idmap")
    bundle.process["user"] = {"uid": 33, "gid": 33}
    script = "/x/tool id -u; /x/tool sleep 100 & sleep 100"
    with bundle.running("sh", "-c", script) as created:
        task = Path(f"/proc/{created.pid}/task/{created.pid}/children")
        wait_until(lambda: any(uid_of(pid) == FIRST for pid in task.read_text().split()))
        assert all(uid_of(pid) >= FIRST for pid in task.read_text().split())


def uid_of(pid: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))


def test_its_maps_are_written_for_good(bundle: Bundle) -> None:
    script = "for f in uid_map gid_map setgroups projid_map; do echo '0 0 1' > /proc/self/$f; done"
    script = f"({script}) 2>&-; cat /proc/self/uid_map; id -u"
    ended = bundle.run("sh", "-c", script)
    assert ended.lines == [f"         0    {FIRST}      {COUNT}", "0"]
    # The control: where nobody has written them before, they are the host's root in the end.
    naive = shell("unshare", "--user", "--keep-caps", "sh", "-c", script).stdout.splitlines()
    assert [line.split() for line in naive] == [["0", "0", "1"], ["0"]]


@pytest.mark.parametrize("has_ids", [True, False], ids=["defended", "control"])
def test_a_map_within_leads_to_no_root_of_the_host(bundle: Bundle, has_ids: bool) -> None:
    """It may map the root of a namespace within to its own, which must not be the host's."""
    grant(bundle, "CAP_SYS_ADMIN", "CAP_SETFCAP", "CAP_SETUID")
    if not has_ids:
        without_ids(bundle)
    with bundle.running("busybox", "unshare", "-Ur", "sleep", "100") as created:
        wait_until(lambda: [one.size for one in maps_of(created.pid)] == [1])
        (line,) = maps_of(created.pid)
    assert (line.inside, line.host) == (0, FIRST if has_ids else 0)


def maps_of(pid: int) -> list[user_namespaces.IdMapping]:
    return user_namespaces.read_map(pid, "uid_map")


def test_a_nested_user_namespace_gains_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """It is made of the same ids: what was nobody's before is nobody's there."""
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    bundle.mount("/leak", "bind", tmp_path, "rbind")
    grant(bundle, "CAP_SYS_ADMIN", "CAP_SETFCAP")
    attack = "mount -o remount,rw /proc/sys; echo 1 > /proc/sys/vm/overcommit_memory"
    inner = f"id -u; cat /leak/secret; {attack}"
    ended = bundle.run("busybox", "unshare", "-Urm", "sh", "-c", f"({inner}) 2>&1")
    assert ended.lines[0] == "0" and "secret" not in ended.lines
    assert ended.output.count("denied") + ended.output.count("Read-only") >= 2
