"""What a layer may have, and how much: devices, attributes, set-user-id, names, size."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.archives import (
    Member,
    assert_no_image_is_left,
    folder,
    hardlink,
    member,
    symlink,
    tar,
)
from integration.conftest import Minirt
from integration.hostile import ROOT, imported, refused
from integration.sandbox import shell
from minirt.errors import MinirtError
from minirt.images import store
from minirt.images.copy_up import copy_up
from minirt.kernel import libc, trees

MS_BIND = 4096  # mount(2)

# ---- what layers may have ----------------------------------------------------------------------


def test_device_nodes_are_left_out_of_dev_unless_asked_for(minirt: Minirt, tmp_path: Path) -> None:
    null = member("./dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    disk = member("disk", type=tarfile.BLKTYPE, devmajor=250, devminor=7, mode=0o640, gid=6)
    assert list((imported(minirt, tmp_path, [ROOT, folder("dev"), null]) / "dev").iterdir()) == []
    assert "--allow-devices" in minirt(
        "image", "import", tmp_path / "hostile.tar", "x", "--allow-devices", code=1
    ).stderr + refused_note(minirt, tmp_path, disk)
    layer = imported(minirt, tmp_path, [ROOT, null, disk], "--allow-devices")
    assert (layer / "dev/null").stat().st_rdev == os.makedev(1, 3)
    made = (layer / "disk").stat()
    assert (made.st_mode, made.st_gid) == (stat.S_IFBLK | 0o640, 6)
    assert made.st_rdev == os.makedev(250, 7)


def refused_note(minirt: Minirt, tmp_path: Path, disk: Member) -> str:
    archive = tmp_path / "disk.tar"
    archive.write_bytes(tar(ROOT, disk))
    return minirt("image", "import", archive, "disk", code=1).stderr


def test_the_mark_of_a_removed_file_is_refused_even_if_devices_are_asked_for(
    minirt: Minirt, tmp_path: Path
) -> None:
    mark = member("f", type=tarfile.CHRTYPE, devmajor=0, devminor=0)
    refused(minirt, tmp_path, [ROOT, mark], "--allow-devices")


@pytest.mark.parametrize("major", [-16, 1 << 12, 1 << 55])
def test_a_device_of_a_number_that_cannot_be_is_refused(
    minirt: Minirt, tmp_path: Path, major: int
) -> None:
    disk = member("dev/disk", type=tarfile.BLKTYPE, devmajor=major)
    archive = tmp_path / "disk.tar"
    archive.write_bytes(tar(ROOT, disk, form=tarfile.GNU_FORMAT))
    for words in ([], ["--allow-devices"]):
        failed = minirt("image", "import", archive, "disk", *words, code=1)
        assert "device number" in failed.stderr
    assert_no_image_is_left()


def test_one_more_name_of_a_folder_is_not_blamed_on_the_kernel(
    minirt: Minirt, tmp_path: Path
) -> None:
    said = refused(minirt, tmp_path, [ROOT, folder("d"), hardlink("m", "d")])
    assert "link to what is no file" in said


def test_attributes_that_overlayfs_or_the_host_believe_are_dropped(
    minirt: Minirt, tmp_path: Path
) -> None:
    capability = "\1\0\0\2\0\40" + "\0" * 14  # cap_net_raw=ep, VFS_CAP_REVISION_2
    claimed = {
        "trusted.overlay.opaque": "y",
        "trusted.overlay.redirect": "/etc",
        "user.overlay.opaque": "y",
        "security.selinux": "x",
        "security.capability": capability,
        "user.mine": "x",
    }
    headers = {f"SCHILY.xattr.{key}": value for key, value in claimed.items()}
    layer = imported(
        minirt,
        tmp_path,
        [
            folder("./", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}),
            member("ping", b"x", mode=0o755, pax_headers=headers),
            folder("d", pax_headers={k: v for k, v in headers.items() if "capab" not in k}),
        ],
    )
    assert sorted(os.listxattr(layer / "ping")) == ["security.capability", "user.mine"]
    assert os.getxattr(layer / "ping", "security.capability") == capability.encode()
    assert os.listxattr(layer / "d") == ["user.mine"]
    assert os.listxattr(layer) == []


def test_set_user_id_is_kept_where_no_other_user_can_reach_it(
    minirt: Minirt, tmp_path: Path
) -> None:
    layer = imported(minirt, tmp_path, [ROOT, member("su", b"x", mode=0o4755)])
    assert (layer / "su").stat().st_mode == 0o104755
    assert layer.parent.stat().st_mode == layer.parent.parent.stat().st_mode == 0o40700
    root, place = Path(os.environ["MINIRT_ROOT"]), Path("/mnt")
    looking = ("setpriv", "--reuid=1000", "--clear-groups", "ls", place / layer.relative_to(root))
    libc.mount(str(root), str(place), None, MS_BIND)  # Where no folder above it is in the way.
    try:
        assert "Permission denied" in shell(*looking, code=2).stderr
        for one in [each for each in layer.parents if each.is_relative_to(root)]:
            one.chmod(0o755)
        assert shell(*looking).stdout == "su\n"  # The control.
    finally:
        libc.umount2(str(place), 0)


def test_names_with_escape_codes_do_not_reach_the_terminal(minirt: Minirt, tmp_path: Path) -> None:
    said = refused(minirt, tmp_path, [ROOT, member("a/../\x1b[31m\nb", b"x")])
    assert r"a/../\x1b[31m\nb" in said and "\x1b" not in said
    naive = shell("tar", "--quoting-style=literal", "-tPf", tmp_path / "hostile.tar").stdout
    assert "a/../\x1b[31m\nb" in naive  # The control: another program tells the name as it is.


# ---- too much ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(minirt: Minirt) -> Iterator[Path]:
    """Put the store on a disk of 20 MiB and 300 files."""
    root = Path(os.environ["MINIRT_ROOT"])
    root.mkdir(parents=True, exist_ok=True)
    libc.mount("tmpfs", str(root), "tmpfs", 0, "size=20m,nr_inodes=300,mode=700")
    yield root
    libc.umount2(str(root), 0)


def test_a_layer_that_is_larger_than_the_disk_is_refused_and_its_space_free_again(
    minirt: Minirt, tmp_path: Path, small_disk: Path
) -> None:
    free = os.statvfs(small_disk).f_bavail
    archive = tmp_path / "big.tar.gz"
    archive.write_bytes(gzip.compress(tar(ROOT, member("zeros", bytes(60 << 20)))))
    shell("tar", "-C", small_disk, "-xzf", archive, code=2)  # The control.
    assert os.statvfs(small_disk).f_bavail == 0
    (small_disk / "zeros").unlink()
    assert "MiB" in minirt("image", "import", archive, "x", code=1).stderr
    archive.write_bytes(tar(ROOT, *(member(f"f{number}") for number in range(500))))
    failed = minirt("image", "import", archive, "x", code=1)
    assert "No space left on device" in failed.stderr
    assert "MINIRT_ROOT" in failed.stderr
    assert_no_image_is_left()
    assert free - os.statvfs(small_disk).f_bavail < 10


def test_holes_stay_holes_however_large(minirt: Minirt, tmp_path: Path, small_disk: Path) -> None:
    sparse = tmp_path / "sparse"
    sparse.write_bytes(b"begin")
    os.truncate(sparse, 1 << 40)
    with sparse.open("r+b") as file:
        file.seek(1 << 39)
        file.write(b"middle")
    naive = shell("cp", "--sparse=never", sparse, small_disk / "naive", code=1)  # The control.
    assert "No space left" in naive.stderr
    (small_disk / "naive").unlink()
    archive = tmp_path / "sparse.tar"
    for form in ("gnu", "pax"):
        shell("tar", f"--format={form}", "-C", tmp_path, "-S", "-cf", archive, "./sparse")
        minirt("image", "import", archive, form)
        (layer,) = store.find(form).layers
        made = (layer / "sparse").stat()
        assert made.st_size == 1 << 40
        assert made.st_blocks < 100
        with (layer / "sparse").open("rb") as file:
            assert file.read(5) == b"begin"
            file.seek(1 << 39)
            assert file.read(7) == b"middle\0"


def test_folders_nested_deeper_than_any_path_are_removed_again(
    minirt: Minirt, tmp_path: Path
) -> None:
    steps = [folder("/".join(["d"] * depth)) for depth in (1000, 2000)]
    beyond = [symlink("l", "d/" * 1900), folder("l/" + "e/" * 1900)]
    layer = imported(minirt, tmp_path, [ROOT, *steps, *beyond])
    assert (layer / "d").is_dir()
    volume = tmp_path / "volume"
    volume.mkdir()
    with pytest.raises(MinirtError):
        copy_up((layer,), "/", volume)
    trees.remove(volume)  # pytest's own cleaning would not get to the end of it
    minirt("image", "rm", "hostile")
    assert_no_image_is_left()
