"""``cp``: what arrives on the other side, and what a hostile container can't make of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.sandbox import shell, wait_until

pytestmark = pytest.mark.core


@pytest.fixture(params=["running", "created"])
def one(minirt: Minirt, image: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Make a container with a volume, that runs or does not."""
    words = ("--name", "one", "--net", "none", "-v", "data:/data", image, "sleep", "1000")
    minirt("create", *words)
    if request.param == "running":
        minirt("start", "one")
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_text("A")
    (tmp_path / "tree" / "below" / "b").write_text("B")
    (tmp_path / "tree" / "link").symlink_to("/etc/passwd")
    return "one"


def test_there_and_back(minirt: Minirt, one: str, tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    (tree / "a").chmod(0o751)
    os.chown(tree / "a", 7, 8)
    minirt("cp", tree, "one:/tmp")
    minirt("cp", f"{tree}/.", "one:/data")
    minirt("cp", tree / "a", "one:/new-name")
    minirt("cp", "one:/tmp/tree", back)
    assert (back / "below" / "b").read_text() == "B"
    assert (back / "link").readlink() == Path("/etc/passwd")
    found = (back / "a").stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o751, 0, 0)
    minirt("cp", "one:/data/a", back / "from-volume")
    minirt("cp", "one:new-name", back)
    assert (back / "from-volume").read_text() == (back / "new-name").read_text() == "A"
    minirt("cp", "-a", tree / "a", "one:/kept")
    minirt("cp", "-a", "one:/kept", back)
    assert (back / "kept").stat().st_uid == 7
    minirt("start", "one")
    assert minirt("exec", "one", "cat", "/tmp/tree/below/b", "/data/a").stdout == "BA"
    assert minirt("exec", "one", "stat", "-c", "%u:%g", "/tmp/tree/a").stdout == "0:0\n"


def test_what_cannot_be_copied(minirt: Minirt, one: str, tmp_path: Path) -> None:
    for words, sentence in (
        (("one:/not-there", tmp_path), "Could not find the file /not-there"),
        ((tmp_path / "tree/a", "one:/not/there"), "Could not find the directory /not"),
        ((tmp_path / "tree/a", "one:/nowhere/"), "there is no such directory"),
        ((tmp_path / "tree", "one:/etc/passwd"), "a file is there"),
        (("one:/a", "one:/b"), "one side must be CONTAINER:PATH"),
        (("two:/a", tmp_path), "No such container: two"),
    ):
        assert sentence in minirt("cp", *words, code=1).stderr


def test_paths_inside_end_at_the_containers_root(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    script = "ln -s / /abs; ln -s ../../../../../.. /rel; ln -s /etc/shadow-of-host /file; "
    script += "mkdir /d; ln -s /etc /d/etc; exec sleep 1000"
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sh", "-c", script)
    minirt("exec", "one", "sh", "-c", "until test -e /d/etc; do sleep 0.1; done")
    note = tmp_path / "note"
    note.write_text("x")
    for path in ("/abs/tmp/n1", "/rel/tmp/n2", "/../../tmp/n3"):
        minirt("cp", note, f"one:{path}")
    assert minirt("exec", "one", "ls", "/tmp").stdout.split() == ["n1", "n2", "n3"]
    assert not [one for one in ("n1", "n2", "n3") if Path("/tmp", one).exists()]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "etc").mkdir()
    (tmp_path / "d" / "etc" / "planted").write_text("x")
    minirt("cp", f"{tmp_path}/d/.", "one:/d", code=1)
    assert not Path("/etc/planted").exists()
    assert minirt("exec", "one", "ls", "/etc/planted", code=None).returncode
    assert "Could not find" in minirt("cp", "one:/proc/self/root", tmp_path, code=1).stderr
    minirt("cp", "-L", "one:/proc/1/root/etc", tmp_path / "out", code=1)  # a link of the kernel


def test_a_folder_of_a_stranger_brings_nothing_that_its_links_lead_to(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """As COPY, where the context of a build has links. Of -L only the source's own name is one."""
    secret, context, naive = (tmp_path / name for name in ("secret", "context", "naive"))
    for folder in (secret, context, naive):
        folder.mkdir()
    (secret / "key").write_text("of the host")
    (context / "file").symlink_to(secret / "key")
    (context / "folder").symlink_to("../secret")
    (tmp_path / "link").symlink_to("context")
    shell("cp", "--recursive", "--dereference", context, naive)
    control = naive / "context"  # It holds what is outside: so it is for whoever follows all links.
    assert (control / "file").read_text() == (control / "folder/key").read_text() == "of the host"
    minirt("create", "--name", "one", "--net", "none", image, "true")
    for words in ((context, "one:/plain"), ("-L", tmp_path / "link", "one:/followed")):
        minirt("cp", *words)
        back = tmp_path / "back" / str(len(words))
        back.parent.mkdir(exist_ok=True)
        minirt("cp", words[-1], back)
        assert {one.name for one in back.iterdir() if one.is_symlink()} == {"file", "folder"}


def test_nothing_dangerous_comes_out(minirt: Minirt, image: str, tmp_path: Path) -> None:
    script = "mkdir /d; cd /d; mknod disk b 8 0; mkfifo pipe; touch suid; chmod 6755 suid; ls"
    made = minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", script)
    assert made.stdout.split() == ["disk", "pipe", "suid"]
    done = minirt("cp", "one:/d", tmp_path)
    assert [one.name for one in (tmp_path / "d").iterdir()] == ["suid"]
    assert (tmp_path / "d" / "suid").stat().st_mode & 0o7777 == 0o755
    assert "left out" in done.stderr
    assert "disk" in done.stderr


def read_by_path(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


@pytest.mark.slow
def test_a_container_that_swaps_folders_for_symlinks(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """While it is copied, /d/sub is now a folder, now a symlink to the folder of the host."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of the host")
    script = f"mkdir /d /d/sub /real; touch /d/sub/key; ln -s {secret} /lnk; cd /d; "
    script += "touch /up; while :; do mv sub /real/; mv /lnk sub; mv sub /lnk; mv /real/sub .; done"
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sh", "-c", script)
    minirt("exec", "one", "sh", "-c", "until test -e /up; do sleep 0.1; done")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "planted").write_text("x")
    pid = pid_of(minirt, "one")
    seen: set[str | None] = set()

    def is_led_out() -> bool:
        """Look up a path as everybody does; say whether that has led out. The control."""
        seen.add(read_by_path(Path(f"/proc/{pid}/root/d/sub/key")))
        return {"", "of the host"} <= seen

    wait_until(is_led_out)
    for _ in range(15):
        out = tmp_path / "out"
        minirt("cp", "one:/d", out, code=None)
        key = out / "sub" / "key"
        assert (out / "sub").is_symlink() or not key.exists() or not key.read_text()
        shutil.rmtree(out, ignore_errors=True)
        minirt("cp", f"{tmp_path}/in/.", "one:/d", code=None)
        minirt("cp", tmp_path / "in" / "sub" / "planted", "one:/d/sub/planted", code=None)
    assert [one.name for one in secret.iterdir()] == ["key"]


def test_archive_keeps_the_owner_of_a_file_and_a_folder(
    minirt: Minirt, one: str, tmp_path: Path
) -> None:
    for path in (tmp_path / "tree", tmp_path / "tree" / "a"):
        os.chown(path, 1234, 567)
    minirt("cp", "-a", tmp_path / "tree" / "a", "one:/")
    minirt("cp", "-a", tmp_path / "tree" / "a", "one:/other")
    minirt("cp", "-a", tmp_path / "tree", "one:/")
    minirt("cp", tmp_path / "tree" / "a", "one:/roots")
    minirt("start", "one")
    owners = ("exec", "one", "stat", "-c", "%u:%g", "/a", "/other", "/tree", "/tree/a", "/roots")
    assert minirt(*owners).stdout.split() == ["1234:567"] * 4 + ["0:0"]
    minirt("cp", "-a", "one:/a", tmp_path / "back")
    assert (tmp_path / "back").stat().st_uid == 1234
