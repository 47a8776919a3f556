"""What ``minirt run`` lets a container see of the host: -v, --mount, --tmpfs, --read-only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell

QUIET = ("run", "--rm", "--net", "none")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of the host with a file."""
    made = tmp_path / "shared"
    made.mkdir()
    (made / "file").write_text("of the host\n")
    return made


def test_a_folder_is_shared_both_ways(minirt: Minirt, image: str, folder: Path) -> None:
    script = "cat /x/file; echo of the container > /x/new"
    assert minirt(*QUIET, "-v", f"{folder}:/x", image, "sh", "-c", script).stdout == "of the host\n"
    assert (folder / "new").read_text() == "of the container\n"


@pytest.mark.parametrize("option", ["-v {0}:/x:ro", "--mount type=bind,src={0},dst=/x,readonly"])
def test_read_only_it_can_only_be_read(
    minirt: Minirt, image: str, folder: Path, option: str
) -> None:
    words = option.format(folder).split()
    done = minirt(*QUIET, *words, image, "sh", "-c", "cat /x/file; echo no > /x/new", code=1)
    assert done.stdout == "of the host\n"
    assert "Read-only" in done.stderr
    assert not (folder / "new").exists()


def test_a_single_file_and_a_relative_folder(minirt: Minirt, image: str, folder: Path) -> None:
    words = ("-v", f"{folder / 'file'}:/etc/motd")
    assert minirt(*QUIET, *words, image, "cat", "/etc/motd").stdout == "of the host\n"


def test_a_new_volume_is_filled_from_the_image_and_kept(minirt: Minirt, image: str) -> None:
    words = (*QUIET, "-v", "pages:/www", image)
    assert (
        "It works" in minirt(*words, "sh", "-c", "cat /www/index.html; echo mine > /www/a").stdout
    )
    assert minirt(*words, "cat", "/www/a").stdout == "mine\n"
    words = (*QUIET, "--mount", "type=volume,source=pages,target=/other", image)
    assert minirt(*words, "cat", "/other/a").stdout == "mine\n"
    minirt(*QUIET, "-v", "pages:/www:ro", image, "touch", "/www/b", code=1)
    assert minirt("volume", "ls", "-q").stdout == "pages\n"


def test_an_unnamed_volume_lasts_as_long_as_its_container(minirt: Minirt, image: str) -> None:
    minirt("run", "--name", "one", "--net", "none", "-v", "/data", image, "touch", "/data/x")
    (volume,) = minirt("volume", "ls", "-q").stdout.split()
    assert len(volume) == 64
    minirt("rm", "one")
    assert minirt("volume", "ls", "-q").stdout.split() == [volume]
    minirt("run", "--name", "one", "--net", "none", "-v", "/data", image, "true")
    minirt("rm", "-v", "one")
    assert minirt("volume", "ls", "-q").stdout.split() == [volume]


def test_folders_in_memory(minirt: Minirt, image: str) -> None:
    words = ("--tmpfs", "/a:size=1m,mode=700", "--mount", "type=tmpfs,target=/b,tmpfs-size=2m")
    script = "df -k /a /b | awk '{ print $2 }'; stat -c %a /a; grep ' /a ' /proc/mounts"
    lines = minirt(*QUIET, *words, image, "sh", "-c", script).stdout.splitlines()
    assert lines[1:4] == ["1024", "2048", "700"]
    assert {"nosuid", "nodev", "noexec"} <= set(lines[4].split()[3].split(","))


def test_a_root_that_is_read_only(minirt: Minirt, image: str, folder: Path) -> None:
    words = ("--read-only", "--tmpfs", "/run", "-v", f"{folder}:/x", image)
    script = "touch /run/a /x/b /dev/shm/c && echo these; touch /d"
    done = minirt(*QUIET, *words, "sh", "-c", script, code=1)
    assert done.stdout == "these\n"
    assert "Read-only" in done.stderr


def test_mounts_inside_mounts_come_in_their_order(minirt: Minirt, image: str, folder: Path) -> None:
    (folder / "deep").mkdir()
    words = ("-v", "inner:/x/deep", "-v", f"{folder}:/x", "--tmpfs", "/x/deep/er")
    script = "grep -o ' /x[^ ]*' /proc/mounts"
    assert minirt(*QUIET, *words, image, "sh", "-c", script).stdout.split() == [
        "/x",
        "/x/deep",
        "/x/deep/er",
    ]


def test_the_image_stays_as_it_is(minirt: Minirt, image: str) -> None:
    script = "rm -r /www; echo changed > /etc/passwd; touch /new"
    minirt(*QUIET, image, "sh", "-c", script)
    assert minirt(*QUIET, image, "ls", "/www", "/new", code=1).stdout.split()[-1] == "index.html"


OWN_FILES = "hosts hostname resolv.conf"
SHOW = f"for one in {OWN_FILES}; do test -s /etc/$one || echo no $one; done; cat /etc/hostname"
WRITE = f"for one in {OWN_FILES}; do (echo x >> /etc/$one) 2> /dev/null && echo written; done; true"


@pytest.mark.parametrize("over", ["", "--tmpfs /etc", "-v data:/etc", "-v {}:/etc"])
def test_the_files_that_networks_decide_are_seen_and_writable_unless_the_root_is_read_only(
    minirt: Minirt, image: str, folder: Path, over: str
) -> None:
    words = ("-h", "web", *over.format(folder).split(), image, "sh", "-c")
    assert minirt(*QUIET, *words, SHOW).stdout == "web\n"
    assert minirt(*QUIET, *words, WRITE).stdout.count("written") == 3
    assert minirt(*QUIET, "--read-only", *words, SHOW).stdout == "web\n"
    assert minirt(*QUIET, "--read-only", *words, WRITE).stdout == ""


def test_a_file_that_the_operator_mounts_there_is_the_operators(
    minirt: Minirt, image: str, folder: Path
) -> None:
    words = (*QUIET, "--read-only", "-v", f"{folder}/file:/etc/hosts", image, "sh", "-c")
    assert minirt(*words, "echo more >> /etc/hosts; cat /etc/hosts").stdout == (
        "of the host\nmore\n"
    )


# ---- symlinks of an image ------------------------------------------------------------------------


def linked_image(minirt: Minirt, rootfs: Path, tmp_path: Path, target: str, *links: str) -> str:
    """Return an image in which each of these paths is a symlink to ``target``."""
    root = tmp_path / "linked"
    shutil.copytree(rootfs, root, symlinks=True)
    (root / "sbin").mkdir()
    for link in links:
        if (root / link).is_dir():
            (root / link).rmdir()
        (root / link).symlink_to(target)
    shell("tar", "-cf", tmp_path / "linked.tar", "--directory", root, ".")
    minirt("image", "import", tmp_path / "linked.tar", "linked")
    return "linked"


@pytest.mark.parametrize(
    ("target", "links", "flags"),
    [
        ("/dev", ["data"], ()),
        ("/dev", ["data"], ("--userns", "private")),
        ("/etc", ["data"], ()),
        ("/sbin", ["data"], ("--init",)),
        ("/data/hosts", ["etc/hosts", "etc/resolv.conf"], ("-v", "/etc")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, (list, tuple)) else value,
)
def test_minirt_makes_nothing_in_a_folder_where_a_symlink_of_the_image_leads(
    minirt: Minirt,
    image: str,
    rootfs: Path,
    tmp_path: Path,
    target: str,
    links: list[str],
    flags: tuple[str, ...],
) -> None:
    del image  # It makes the store.
    folder = tmp_path / "folder"
    folder.mkdir()
    linked = linked_image(minirt, rootfs, tmp_path, target, *links)
    words = ("run", "--rm", "-v", f"{folder}:/data", *flags, linked)
    minirt(*words, "/bin/sh", "-c", "true", code=127 if "--init" in flags else 0)
    assert list(folder.iterdir()) == []


def test_a_device_that_a_symlink_of_the_image_leads_into_a_folder_is_refused(
    minirt: Minirt, image: str, rootfs: Path, tmp_path: Path
) -> None:
    del image  # It makes the store.
    folder = tmp_path / "folder"
    folder.mkdir()
    linked = linked_image(minirt, rootfs, tmp_path, "/dev/extra", "data")
    words = (*QUIET, "-v", f"{folder}:/data", "--device", "/dev/full:/dev/extra/full", linked)
    refused = minirt(*words, "true", code=125)
    assert "/dev/extra/full" in refused.stderr and "symlink" in refused.stderr
    assert list(folder.iterdir()) == []


def test_what_the_operator_asks_for_in_a_folder_is_made_there(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """The control: no symlink, and the same files and nodes do appear in the folder."""
    words = ("-v", f"{tmp_path}:/etc", "--device", "/dev/full:/etc/full")
    seen = minirt(*QUIET, *words, image, "cat", "/etc/hosts").stdout
    assert "localhost" in seen
    assert {one.name for one in tmp_path.iterdir()} >= {"hosts", "resolv.conf", "full"}


def test_names_resolve_where_a_tmpfs_lies_over_the_target_of_resolv_conf(
    minirt: Minirt, image: str, rootfs: Path, tmp_path: Path
) -> None:
    """Many images have such a symlink, and what is made in a tmpfs of minirt's harms nobody."""
    del image  # It makes the store.
    linked = linked_image(minirt, rootfs, tmp_path, "/run/resolv.conf", "etc/resolv.conf")
    words = ("run", "--rm", "--tmpfs", "/run", linked, "cat", "/etc/resolv.conf")
    assert "nameserver" in minirt(*words).stdout
