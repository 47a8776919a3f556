"""A /proc or /sys that is not what it seems, or leads elsewhere: no path is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.sandbox import shell
from integration.traces import Ground
from minirt.errors import InvalidRequest
from minirt.kernel import namespaces, processes
from minirt.kernel.namespaces import Namespace
from minirt.runtime import mount_table, sysctls


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


@pytest.mark.parametrize("path", ["proc", "sys"])
def test_a_symlink_in_the_place_of_proc_or_sys_is_refused(bundle: Bundle, path: str) -> None:
    layer = bundle.add_layer("links")
    (layer / "fake").mkdir()
    (layer / "other").symlink_to("fake")
    bundle.mount("/other", "tmpfs", "tmpfs")
    assert " /fake " in bundle.run("mount").output.replace("on ", "")  # elsewhere they are followed
    (layer / path).symlink_to("fake")
    with pytest.raises(InvalidRequest, match="symlink"):
        bundle.create("true")


@pytest.mark.parametrize("target", ["/proc", "/proc/sys/kernel", "/link/sys"])
def test_nothing_may_cover_proc(
    bundle: Bundle, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted").touch()
    (bundle.add_layer("links") / "link").symlink_to("/proc")
    bundle.mount(target, "bind", tmp_path, "rbind")
    with pytest.raises(InvalidRequest, match="nothing may cover /proc"):
        bundle.create("true")
    monkeypatch.setattr(mount_table, "_refuse_proc", lambda *_: None)  # The control.
    assert bundle.run("ls", target).output == "planted\n"


def test_a_null_device_that_is_a_symlink_opens_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2025-31133: the mask's source is the host's null device, whatever the image has."""
    secret = Path("/proc/sys/kernel/core_pattern")
    (tmp_path / "null").symlink_to(secret)
    naive = f"mount --bind {tmp_path}/null /proc/keys && cat /proc/keys"
    assert shell("unshare", "--mount", "sh", "-c", naive).stdout == secret.read_text()
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/dev"]
    bundle.mount("/dev", "bind", tmp_path, "rbind")
    seen = bundle.run("sh", "-c", "mount | grep ' /proc/keys '; cat /proc/keys")
    assert " /proc/keys " in seen.lines[0] and len(seen.lines) == 1, "it is masked, and empty"


@pytest.mark.parametrize("covered", ["ipv4/ip_forward", "ipv4", "", "/proc"])
@pytest.mark.parametrize("careful", [True, False], ids=["defended", "control"])
def test_a_write_to_proc_lands_there_whatever_lies_over_it(
    tmp_path: Path, careful: bool, covered: str
) -> None:
    """CVE-2025-52881: over the parameter, or above it, lies something else, here a file."""
    name = Path("/proc/sys/net/ipv4/ip_forward")
    place = Path("/proc/sys/net") / covered
    decoy = tmp_path / "decoys" / name.relative_to("/")
    decoy.parent.mkdir(parents=True)
    decoy.write_text("0")

    def write() -> int:
        namespaces.unshare(Namespace.NET | Namespace.MOUNT)
        shell("mount", "--make-rprivate", "/")
        name.write_text("0")
        shell("mount", "--bind", tmp_path / "decoys" / place.relative_to("/"), place)
        if careful:
            sysctls.write({"net.ipv4.ip_forward": "1"})
        else:
            name.write_text("1")
        shell("umount", place)
        return 10 + int(name.read_text())

    assert processes.wait(processes.fork(write)) == 10 + careful
    assert decoy.read_text() == ("0" if careful else "1")


def test_where_proc_is_read_only_a_parameter_is_set_all_the_same() -> None:
    def write() -> int:
        namespaces.unshare(Namespace.NET | Namespace.MOUNT)
        shell("mount", "--make-rprivate", "/")
        shell("mount", "-o", "remount,bind,ro", "/proc")
        sysctls.write({"net.ipv4.ip_forward": "1"})
        return 10 + int(Path("/proc/sys/net/ipv4/ip_forward").read_text())

    assert processes.wait(processes.fork(write)) == 11
