"""What a container sees of file systems, and that nothing of it happens outside of its root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.sandbox import shell
from integration.traces import Ground
from minirt.errors import InvalidRequest, KernelRefused, MinirtError


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def mounted(bundle: Bundle) -> list[list[str]]:
    """Return the lines of /proc/mounts inside: source, target, type and so on."""
    return [line.split() for line in bundle.run("cat", "/proc/mounts").lines]


def test_the_mounts_are_those_of_the_config_in_their_order(bundle: Bundle) -> None:
    targets = [line[1] for line in mounted(bundle)]
    wanted = [one["destination"] for one in bundle.config["mounts"]]
    assert targets[0] == "/"
    positions = [targets.index(one) for one in wanted]
    assert positions == sorted(positions)


def test_their_options_are_those_of_the_config(bundle: Bundle) -> None:
    options = {line[1]: set(line[3].split(",")) for line in mounted(bundle)}
    assert {"rw", "nosuid", "nodev", "noexec"} <= options["/proc"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= options["/sys"]
    assert {"rw", "nosuid", "size=65536k", "mode=755"} <= options["/dev"]
    assert not {"nodev", "noexec", "relatime"} & options["/dev"]
    assert {"gid=5", "mode=620", "ptmxmode=666"} <= options["/dev/pts"]
    assert "size=1024k" in options["/dev/shm"]


# config.md, "Linux mount options"; "remount" is for a mount that is there already.
OPTIONS = """
    async atime defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
    nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow
    private ratime rdev rdiratime relatime rexec rnoatime rnodev rnodiratime rnoexec rnorelatime
    rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave
    rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid sync
    tmpcopyup unbindable symfollow
"""


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_every_option_of_the_specification_is_understood(
    bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    for option in OPTIONS.split():
        if (kind, option) != ("bind", "tmpcopyup"):
            bundle.mount(f"/m/{option}", kind, tmp_path, *(["bind"] * (kind == "bind")), option)
    shown = {line[1]: line[3].split(",") for line in mounted(bundle) if line[1].startswith("/m/")}
    assert len(shown) == len(OPTIONS.split()) - (kind == "bind")
    for option in ("noatime", "nodev", "nodiratime", "noexec", "nosuid", "nosymfollow", "ro"):
        assert option in shown[f"/m/{option}"]
        assert option in shown[f"/m/r{option}"]
        assert option not in shown["/m/atime"]
    assert ("sync" in shown["/m/sync"]) == (kind == "tmpfs")


def test_an_unknown_option_is_explained_in_the_kernels_words(bundle: Bundle) -> None:
    bundle.mount("/x", "tmpfs", "tmpfs", "no-such-option")
    with pytest.raises(KernelRefused, match=r"Cannot mount tmpfs on /x.*no-such-option"):
        bundle.create("true")


def test_secrets_of_the_host_are_hidden(bundle: Bundle) -> None:
    seen = bundle.run(
        "sh",
        "-c",
        "cat /proc/keys /proc/timer_list /proc/interrupts; ls -A /sys/firmware /proc/acpi",
    )
    assert [line for line in seen.lines if line and not line.startswith("/")] == []
    assert bundle.run("sh", "-c", "touch /sys/firmware/x").code != 0


@pytest.mark.parametrize(
    "path", ["/proc/irq/default_smp_affinity", "/proc/sys/kernel/core_pattern"]
)
def test_switches_of_the_host_cannot_be_written(bundle: Bundle, path: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    seen = bundle.run("sh", "-c", f"echo x > {path}")
    assert "Read-only file system" in seen.output
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_a_readonly_root_leaves_the_other_mounts_writable(bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    seen = bundle.run("sh", "-c", "touch /x; touch /dev/shm/x && touch /dev/x && echo rest")
    assert "/x: Read-only file system" in seen.lines[0]
    assert seen.lines[1:] == ["rest"]


def test_the_devices_work_and_are_all_there_is(bundle: Bundle) -> None:
    seen = bundle.run("sh", "-c", "cd /dev; ls; head -c2 zero | wc -c; echo a > null; ls -l fd/")
    some = [*(["core"] if Path("/proc/kcore").exists() else []), "fd", "full", "mqueue", "null"]
    assert " ".join(seen.lines[:16]).split()[: len(some) + 2] == [*some, "ptmx", "pts"]
    assert bundle.run("sh", "-c", "echo a > /dev/full").code != 0
    kinds = bundle.run("stat", "-c", "%F %t:%T %a", "/dev/null", "/dev/tty", "/dev/urandom")
    assert kinds.lines == [
        "character special file 1:3 666",
        "character special file 5:0 666",
        "character special file 1:9 666",
    ]


def test_a_device_that_is_asked_for_is_made(bundle: Bundle) -> None:
    device = {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}
    bundle.linux["devices"] = [{**device, "fileMode": 0o640, "uid": 1, "gid": 33}]
    seen = bundle.run("stat", "-c", "%t:%T %a %u:%g", "/dev/net/tun")
    assert seen.output == "a:c8 640 1:33\n"


def test_a_device_in_whose_place_another_file_is_is_an_error(bundle: Bundle) -> None:
    """config-linux.md, "Devices": the same device there already is fine."""
    layer = bundle.add_layer("devices")
    (layer / "same").touch()
    os.mknod(layer / "node", 0o600 | stat.S_IFCHR, os.makedev(1, 7))
    device = {"path": "/node", "type": "c", "major": 1, "minor": 7}
    bundle.linux["devices"] = [device]
    assert bundle.run("stat", "-c", "%t:%T", "/node").output == "1:7\n"
    for changes in ({"minor": 3}, {"type": "b"}, {"path": "/same"}):
        bundle.linux["devices"] = [{**device, **changes}]
        with pytest.raises(MinirtError, match="another file than that device"):
            bundle.create("true")


# ---- binds -------------------------------------------------------------------------------------


def test_a_folder_and_a_file_of_the_host_are_shown(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello\n")
    bundle.mount("/srv/deep/folder", "bind", tmp_path, "rbind")
    bundle.mount("/srv/file", "bind", tmp_path / "file", "bind", "ro")
    seen = bundle.run("sh", "-c", "cat /srv/deep/folder/file /srv/file; echo x > /srv/file")
    assert seen.lines[:2] == ["hello", "hello"]
    assert "Read-only" in seen.output


@pytest.mark.parametrize(("option", "below"), [("ro", "writable"), ("rro", "read-only")])
def test_rro_reaches_what_is_mounted_below_and_ro_does_not(
    bundle: Bundle, tmp_path: Path, option: str, below: str
) -> None:
    (tmp_path / "below").mkdir()
    shell("mount", "-t", "tmpfs", "below", tmp_path / "below")
    bundle.mount("/srv", "bind", tmp_path, "rbind", option)
    script = "touch /srv/x 2>&-; touch /srv/below/x 2>&- && echo writable || echo read-only"
    seen = bundle.run("sh", "-c", script)
    shell("umount", tmp_path / "below")
    assert seen.lines[-1] == below
    assert not (tmp_path / "x").exists()


def test_a_bind_of_a_file_on_a_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bundle.mount("/etc", "bind", tmp_path / "file", "bind")
    with pytest.raises(InvalidRequest, match="Cannot mount on /etc"):
        bundle.create("true")


def test_a_bind_of_what_does_not_exist_is_explained(bundle: Bundle) -> None:
    bundle.mount("/srv", "bind", "/no/such/source", "rbind")
    with pytest.raises(KernelRefused, match=r"/srv: No such file or directory \(/no/such/source\)"):
        bundle.create("true")


@pytest.mark.parametrize("target", ["/", "/..", "/link"])
def test_nothing_may_cover_the_root(bundle: Bundle, tmp_path: Path, target: str) -> None:
    """Init would stay below, while whoever enters is led on top of it."""
    (bundle.add_layer("links") / "link").symlink_to("/etc/..")
    bundle.mount(target, "bind", tmp_path, "rbind")
    with pytest.raises(InvalidRequest, match="that is the root itself"):
        bundle.create("true")


def test_a_propagating_bind_hears_of_mounts_on_the_host(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    shell("mount", "--bind", tmp_path, tmp_path)
    shell("mount", "--make-shared", tmp_path)
    bundle.mount("/slave", "bind", tmp_path, "rbind", "rslave")
    bundle.mount("/private", "bind", tmp_path, "rbind", "rprivate")
    with bundle.running() as created:
        shell("mount", "-t", "tmpfs", "later", tmp_path / "later")
        (tmp_path / "later" / "x").touch()
        seen = bundles.enter_and_wait(created, "sh", "-c", "ls /slave/later /private/later")
    shell("umount", tmp_path / "later")
    shell("umount", tmp_path)
    assert seen.lines == ["/private/later:", "", "/slave/later:", "x"]


@pytest.mark.parametrize(("name", "tag"), [("shared", "shared:"), ("private", ""), ("", "")])
def test_the_propagation_of_the_root_is_that_of_the_config(
    bundle: Bundle, name: str, tag: str
) -> None:
    bundle.linux["rootfsPropagation"] = name
    root = bundle.run("head", "-1", "/proc/self/mountinfo").output.split(" - ")[0].split()
    assert root[4] == "/"
    assert "".join(root[6:]).startswith(tag) and bool(root[6:]) == bool(tag)


# ---- tmpfs -------------------------------------------------------------------------------------


def test_a_tmpfs_takes_its_mode_from_what_it_covers(bundle: Bundle) -> None:
    layer = bundle.add_layer("modes")
    (layer / "covered").mkdir(mode=0o710)
    bundle.mount("/covered", "tmpfs", "tmpfs")
    bundle.mount("/new", "tmpfs", "tmpfs")
    bundle.mount("/told", "tmpfs", "tmpfs", "mode=0700")
    seen = bundle.run("stat", "-c", "%a", "/covered", "/new", "/told")
    assert seen.lines == ["710", "1777", "700"]


# ---- overlays ----------------------------------------------------------------------------------


def test_three_hundred_layers_are_one_root(bundle: Bundle, ground: Ground) -> None:
    for number in range(300):
        layer = bundle.add_layer(f"{number:064}")  # a digest is as long
        (layer / f"f{number}").touch()
        (layer / "last").write_text(f"{number}\n")
    seen = bundle.run("sh", "-c", "cat /last; ls / | grep -c '^f[0-9]*$'")
    assert seen.lines == ["299", "300"]


def test_what_it_writes_stays_out_of_the_image(bundle: Bundle, rootfs: Path) -> None:
    assert bundle.run("sh", "-c", "echo new > /etc/new; rm /etc/group").code == 0
    assert (bundle.changes / "etc/new").read_text() == "new\n"
    assert (rootfs / "etc/group").exists() and not (rootfs / "etc/new").exists()
