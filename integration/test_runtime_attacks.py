"""Images, and neighbours, that want out: each test has something that must not change."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import stat
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.traces import Ground
from minirt.errors import MinirtError
from minirt.kernel import libc, processes, springboard
from minirt.runtime import command

INTERPRETER = Path(sys.executable).resolve()
_RENAME_EXCHANGE = 2
on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="has no springboard")


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Return a folder of the host that must stay as it is."""
    folder = tmp_path / "canary"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir()), "something was made in a folder of the host"
    assert not folder.is_mount()


# ---- CVE-2019-5736: /proc/self/exe -------------------------------------------------------------


@on_x86_64
@pytest.mark.parametrize("defended", [True, False], ids=["defended", "control"])
@pytest.mark.parametrize("trick", ["symlink", "script", "words", "number"])
def test_proc_self_exe_never_is_the_interpreter(
    bundle: Bundle, trick: str, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image brings all that the interpreter needs to run; still it must not."""
    if not defended:
        monkeypatch.setattr(springboard, "make", lambda _line, **_: None)
        monkeypatch.setattr(command, "refuse_own_binary", lambda _path: None)
    before = hashlib.sha256(INTERPRETER.read_bytes()).digest()
    for folder in {"/usr", "/lib", "/lib64", sys.base_prefix}:
        if Path(folder).is_dir():
            bundle.mount(folder, "bind", folder, "rbind", "ro")
    program = "print('the interpreter ran')"
    layer = bundle.add_layer("tricks")
    (layer / "symlink").symlink_to("/proc/self/exe")
    (layer / "script").write_text(f"#!/proc/self/exe\n{program}\n")
    (layer / "script").chmod(0o755)
    words = {
        "symlink": ("/symlink", "-c", program),
        "script": ("/script",),
        "words": ("/proc/self/exe", "-c", program),
        "number": ("/proc/1/exe", "-c", program),
    }[trick]
    try:
        seen = bundle.run(*words).output
    except MinirtError:
        seen = ""
    assert ("ran" in seen) != defended
    assert hashlib.sha256(INTERPRETER.read_bytes()).digest() == before


# ---- symlinks instead of folders ---------------------------------------------------------------


def make_by_path(folder: Path) -> None:
    """Do what a careless runtime does: make a node and a link, and mount, by the path of each."""
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (folder / "fd").symlink_to("/proc/self/fd")
    libc.mount("tmpfs", str(folder), "tmpfs", 0, "size=64k")


@pytest.mark.parametrize("path", ["dev", "proc", "sys", "dev/pts", "dev/shm", "etc", "sys/fs"])
@pytest.mark.parametrize("style", ["absolute", "relative"])
def test_a_folder_that_is_a_symlink_leads_nowhere(
    bundle: Bundle, canary: Path, path: str, style: str
) -> None:
    link = bundle.add_layer("links") / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(canary if style == "absolute" else "../" * 20 + str(canary)[1:])
    make_by_path(link)  # The control: all three land on the host.
    assert canary.is_mount()
    libc.umount2(str(canary), 0)
    for name in ("null", "fd"):
        (canary / name).unlink()
    bundle.mount("/etc/hosts", "bind", "/etc/passwd", "bind")
    if path in ("dev", "proc", "sys"):
        with pytest.raises(MinirtError, match="symlink"):
            bundle.run("true")
    else:  # It is resolved inside.
        assert bundle.run("true").code == 0


def test_targets_of_mounts_resolve_inside_also_through_dangling_links(
    bundle: Bundle, canary: Path, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (bundle.add_layer("links") / "data").symlink_to(canary)
    bundle.mount("/data/deep", "bind", tmp_path / "source", "rbind")
    seen = bundle.run("sh", "-c", "mount | grep deep")
    assert f" on {canary}/deep " in seen.output  # that path, but inside


# ---- races -------------------------------------------------------------------------------------


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names, as fast as it goes, during the body (rename(2), RENAME_EXCHANGE)."""
    libc = ctypes.CDLL(None)

    def swap() -> int:
        while True:
            libc.renameat2(-100, bytes(one), -100, bytes(other), _RENAME_EXCHANGE)

    pid = processes.fork(swap)
    try:
        yield
    finally:
        processes.kill(pid)


def led_to(path: Path) -> str:
    """Look a path up as everybody does, links and all; return where that has led."""
    fd = os.open(path, os.O_PATH)
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    finally:
        os.close(fd)


def test_a_folder_that_turns_into_a_symlink_meanwhile_does_not_lead_out(
    bundle: Bundle, canary: Path, tmp_path: Path
) -> None:
    """CVE-2021-30465: a neighbour that shares a volume swaps the target while it is mounted."""
    volume = tmp_path / "volume"
    (volume / "a" / "b").mkdir(parents=True)
    (volume / "link").symlink_to("/" + "../" * 20 + str(canary)[1:])
    bundle.mount("/volume", "bind", volume, "rbind")
    bundle.mount("/volume/a/b/c", "tmpfs", "tmpfs")
    bundle.mount("/volume/a/b/d/e", "bind", "/etc/passwd", "bind")
    before = Path("/proc/self/mountinfo").read_text()
    deadline, outcomes = time.monotonic() + 3, set()
    naive: set[str] = set()
    with swapping(volume / "a", volume / "link"):
        while time.monotonic() < deadline:
            try:
                bundle.run("true")
                outcomes.add("started")
            except MinirtError:
                outcomes.add("refused")
            naive.update(led_to(volume / "a") for _ in range(20))
    assert "started" in outcomes
    assert {str(volume / "a"), str(canary)} <= naive  # a look-up like any other is led out
    assert Path("/proc/self/mountinfo").read_text() == before


# ---- code of the image -------------------------------------------------------------------------


def import_late(root: Path) -> int:
    """Do what a careless runtime would: import a module with the image as the root directory."""
    os.chroot(root)
    os.chdir("/")
    sys.modules.pop("colorsys", None)
    __import__("colorsys")
    return 0


def test_no_code_of_the_image_runs_before_the_command(bundle: Bundle) -> None:
    """CVE-2019-14271: modules and name services where a host would look for its own."""
    layer = bundle.add_layer("code")
    places = {sysconfig.get_paths()["stdlib"], f"/usr/lib/python3.{sys.version_info.minor}"}
    names = ["traceback", "pwd", "grp", "encodings", "linecache", "json", "prctl", "colorsys"]
    marker = "import os; os.system('touch /pwned'); open('/pwned', 'w')\n"
    for place in places:
        folder = layer / place.lstrip("/")
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.py").write_text(marker)
    assert processes.wait(processes.fork(lambda: import_late(layer))) == 0
    (layer / "pwned").unlink()  # The control has made it.
    bundle.setting["user"] = "www"
    bundle.process["env"] += ["PYTHONPATH=/", "LD_PRELOAD=/x.so", "GCONV_PATH=/"]
    with bundle.running() as created:
        assert bundles.enter_and_wait(created, "id", user="www").code == 0
        with pytest.raises(MinirtError):
            bundles.enter_and_wait(created, "no-such")
    assert not (bundle.changes / "pwned").exists()
    assert not os.path.lexists("/pwned")
