"""No inode of the host changes by what a container is handed without having been asked for.

The devices of the "host" are the test's own here, so that an attack that succeeds harms nobody.
"""

from __future__ import annotations

import os
import pty
import stat
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from integration import bundles, oci
from integration.conftest import Minirt
from integration.decoys import DEVICES, devices, state_of
from integration.oci import Oci
from integration.sandbox import compiled, minirt_words, shell, started
from integration.traces import Ground
from minirt.container import copying
from minirt.kernel import devices as kernel_devices
from minirt.runtime import launch, standard_streams
from minirt.runtime import rootfs as rootfs_module

__all__ = ["devices"]  # fixtures

# What minirt makes for the container, of the host's file systems (as Docker does).
MADE_FOR_IT = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
ALL = ("chmod", "chown", "utimes", "touch")


@pytest.fixture(scope="session")
def inodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(Path(__file__).with_name("inodes.c"), tmp_path_factory.mktemp("inodes"))


def changed_of_the_host(output: str) -> dict[str, set[str]]:
    """Return what the program could change on file systems that are mounted on the host."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    numbers = {line.split()[2] for line in lines}
    found = {}
    for line in output.splitlines():
        path, number, _inode, *changes = line.split()
        if number in numbers and path not in MADE_FOR_IT:
            found[path] = set(changes)
    return found


# ---- minirt ------------------------------------------------------------------------------------

USERNS = ("--userns", "private")


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-t",),
        ("-i",),
        ("--privileged",),
        USERNS,
        (*USERNS, "--privileged"),
        (*USERNS, "--device", "/dev/full"),
        ("--device", "/dev/full:/dev/other"),
        ("-u", "1000"),
        ("--log-driver", "none"),
    ],
    ids=" ".join,
)
def test_no_inode_of_the_host_changes(
    minirt: Minirt, image: str, inodes: Path, devices: Path, flags: tuple[str, ...]
) -> None:
    before = state_of(devices)
    mounted = ("-v", f"{inodes}:/inodes:ro")
    ran = minirt("run", "--rm", "--net", "none", *mounted, *flags, image, "/inodes")
    assert changed_of_the_host(ran.stdout) == {}
    minirt("run", "-d", "--net", "none", "--name", "box", *mounted, *flags, image, "sleep", "1000")
    for more in ((), ("-i",), ("-t",), ("-u", "0"), ("--privileged",)):
        assert changed_of_the_host(minirt("exec", *more, "box", "/inodes").stdout) == {}
    minirt("exec", "-d", "box", "/inodes")
    minirt("rm", "-f", "box")
    assert state_of(devices) == before


def test_what_the_operator_hands_in_changes(
    minirt: Minirt, image: str, inodes: Path, devices: Path, tmp_path: Path
) -> None:
    """The control: the program does find and change what it can."""
    (tmp_path / "given").touch()
    before = state_of(devices)
    given = ("-v", f"{tmp_path}/given:/given", "-v", f"{devices}/null:/dev/null")
    mounted = ("-v", f"{inodes}:/inodes:ro")
    ran = minirt("run", "--rm", "--net", "none", *mounted, *given, image, "/inodes")
    changed = changed_of_the_host(ran.stdout)
    assert changed["/given"] == {*ALL, "setxattr", "write"}
    assert set(ALL) <= changed["/dev/null"]
    assert state_of(devices)["null"] != before["null"]


def test_masks_and_streams_are_what_changes_without_a_defence(
    inodes: Path, devices: Path, rootfs: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control below the commands: each of the two defences is off once."""

    def attacked(name: str) -> dict[str, set[str]]:
        bundle = bundles.make(ground.root / name, rootfs)
        bundle.mount("/tmp", "bind", inodes.parent, "rbind", "ro")
        return changed_of_the_host(bundle.run("/tmp/inodes").output)

    assert attacked("defended") == {}
    with monkeypatch.context() as patch:
        patch.setattr(standard_streams, "use_own_devices", lambda *_: None)
        assert set(ALL) <= attacked("streams")["/proc/self/fd/0"]
    with monkeypatch.context() as patch:
        attach = rootfs_module._attach_copy
        patch.setattr(rootfs_module, "_attach_copy", lambda fd, target, *_: attach(fd, target))
        patch.setattr(kernel_devices, "open_null", lambda _: os.open("/dev/null", os.O_PATH))
        assert set(ALL) <= attacked("masks")["/proc/keys"]


# ---- mounts over /dev ----------------------------------------------------------------------------

# The last word says that every change was tried.
ATTACK = "for n in 0 1 2; do chmod 0 /proc/self/fd/$n; chown 1:1 /proc/self/fd/$n; done; echo tried"


@pytest.fixture
def volume_image(minirt: Minirt, image: str, rootfs: Path, tmp_path: Path) -> str:
    """Return an image with a volume over /dev. ``image`` makes the store."""
    del image
    shell("tar", "-cf", tmp_path / "image.tar", "--directory", rootfs, ".")
    minirt("image", "import", "--change", "VOLUME /dev", tmp_path / "image.tar", "covered")
    return "covered"


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-v", "/dev/pts"),
        ("-v", "/sys"),
        ("--tmpfs", "/dev"),
        ("-v", "FOLDER:/dev"),
        ("-v", "FOLDER:/dev:ro"),
        USERNS,
    ],
    ids=lambda flags: " ".join(flags) or "VOLUME /dev",
)
def test_volume_over_dev_keeps_the_hosts_null_device(
    minirt: Minirt, volume_image: str, devices: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    (tmp_path / "folder").mkdir()
    words = [word.replace("FOLDER", f"{tmp_path}/folder") for word in flags]
    words += ["--net", "none", volume_image, "sh", "-c"]
    before = state_of(devices)
    assert "tried" in minirt("run", "--rm", *words, ATTACK, input="").stdout
    with Path("/dev/null").open("r+b") as null:
        own = minirt_words("run", "--rm", "--log-driver", "none", *words, ATTACK)
        assert (
            subprocess.run(own, stdin=null, stdout=null, stderr=null, check=False).returncode == 0
        )
    minirt("create", "--name", "two", *words, ATTACK)
    for verb in ("start", "restart"):
        minirt(verb, "two")
        minirt("wait", "two")
    assert minirt("logs", "two").stdout.count("tried") == 2
    minirt("run", "-d", "--name", "one", *words, f"{ATTACK}; exec sleep 1000")
    for exec_flags in ((), ("-i",), ("-d",)):
        minirt("exec", *exec_flags, "one", "sh", "-c", ATTACK)
    assert minirt("exec", "one", "sh", "-c", "cat; echo read >&0; echo over").stdout == "over\n"
    minirt("rm", "-f", "-v", "one", "two")
    assert state_of(devices) == before


def test_null_device_of_the_host_changes_where_streams_are_not_protected(
    devices: Path, rootfs: Path, ground: Ground
) -> None:
    """The control, below the commands: a folder covers /dev, and the defence is off once."""
    (ground.root / "folder").mkdir(parents=True)
    for name, changes in (("protected", False), ("as they are", True)):
        before = state_of(devices)
        bundle = bundles.make(ground.root / name, rootfs)
        bundle.mount("/dev", "bind", ground.root / "folder", "rbind", "rw")
        null = os.open("/dev/null", os.O_RDWR)
        given = (null, null, null)
        with nullcontext(given) if changes else standard_streams.protected(given) as streams:
            bundle.setting["stdio"] = streams
            bundle.run("sh", "-c", ATTACK)
        os.close(null)
        assert (state_of(devices) != before) == changes


# ---- minirt-oci ----------------------------------------------------------------------------------


@pytest.fixture
def one(ground: Ground, rootfs: Path, inodes: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    shell("cp", inodes, made.rootfs / "inodes")
    return made


@pytest.mark.parametrize("device", list(DEVICES))
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_device_as_a_standard_stream_of_minirt_oci(
    one: Oci, devices: Path, device: str, verb: str
) -> None:
    one.write(*(["/inodes"] if verb == "run" else ["sleep", "100"]))
    with Path(f"/dev/{device}").open("rb") as stream:
        before = state_of(devices)
        if verb == "exec":
            one.start("a")
        words = ("run", "--bundle", one.bundle, "b") if verb == "run" else ("exec", "a", "/inodes")
        ran = subprocess.run(
            one.words(*words), stdin=stream, stdout=subprocess.PIPE, stderr=stream, check=False
        )
        assert ran.returncode == 0
        changed = changed_of_the_host(ran.stdout.decode())
    assert set(changed) <= {"/"}  # its root file system
    assert state_of(devices) == before
    if verb == "exec":
        one("delete", "--force", "a")


@pytest.mark.parametrize("verb", ["run", "exec"])
@pytest.mark.parametrize("opened", ["here", "in another mount namespace"])
def test_minirt_oci_keeps_the_hosts_null_device_where_a_folder_covers_dev(
    one: Oci, devices: Path, tmp_path: Path, verb: str, opened: str
) -> None:
    """No mount of another namespace can be copied, so a node of the device is made instead."""
    (tmp_path / "folder").mkdir()
    bind = {"destination": "/dev", "type": "bind", "source": f"{tmp_path}/folder"}
    one.config["mounts"] = [
        mount for mount in one.config["mounts"] if not mount["destination"].startswith("/dev")
    ]
    one.config["mounts"].append({**bind, "options": ["rbind", "rw"]})
    one.write(*(["sh", "-c", ATTACK] if verb == "run" else ["sleep", "100"]))
    before = state_of(devices)
    if verb == "exec":
        one.start("a")
    words = ["run", "--bundle", one.bundle, "b"]
    if verb == "exec":
        words = ["exec", "a", "sh", "-c", ATTACK]
    elsewhere = [] if opened == "here" else ["unshare", "--mount"]
    with Path("/dev/null").open("r+b") as null:
        ran = subprocess.run(
            [*elsewhere, *one.words(*words)],
            stdin=null,
            stdout=subprocess.PIPE,
            stderr=null,
            check=False,
        )
    assert ran.stdout == b"tried\n"
    assert state_of(devices) == before
    if verb == "exec":
        one("delete", "--force", "a")


@pytest.mark.parametrize("has_null", [True, False], ids=["", "without a null device of its own"])
def test_the_terminal_of_the_caller_keeps_its_owner_and_mode(
    one: Oci, devices: Path, has_null: bool
) -> None:
    del devices  # They are in place.
    master, slave = pty.openpty()
    before = os.fstat(slave)
    one.start("a")
    if not has_null:
        one("exec", "a", "rm", "/dev/null")
    ran = subprocess.run(
        one.words("exec", "a", "/inodes"),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        check=False,
    )
    after = os.fstat(slave)
    assert ran.returncode == 0
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    os.write(master, b"typed\n")
    read = subprocess.run(
        one.words("exec", "a", "head", "-n1"), stdin=slave, stdout=subprocess.PIPE, check=False
    )
    assert read.stdout == b"typed\n"
    os.close(master)
    os.close(slave)
    one("delete", "--force", "a")


def test_a_container_that_removed_its_null_device_gets_one_that_it_cannot_change(
    minirt: Minirt, image: str, inodes: Path, devices: Path
) -> None:
    mounted = ("-v", f"{inodes}:/inodes:ro")
    minirt("run", "-d", "--net", "none", "--name", "box", *mounted, image, "sleep", "1000")
    for replace in (
        "rm -f /dev/null",
        "mkfifo /dev/null",
        "rm /dev/null; ln -s /proc/1/fd/1 /dev/null",
    ):
        minirt("exec", "box", "sh", "-c", replace)
        before = state_of(devices)
        assert changed_of_the_host(minirt("exec", "box", "/inodes").stdout) == {}
        assert state_of(devices) == before


# ---- FIFOs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("exec", "-i", "-u", "1000", "box"), ("run", "-i", "-u", "1000")], ids=lambda w: w[0]
)
def test_a_named_fifo_stays_on_the_host(
    minirt: Minirt, image: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    minirt("run", "-d", "--net", "none", "--name", "box", image, "sleep", "1000")
    target = [] if words[0] == "exec" else ["--net", "none", "--log-driver", "none", image]
    end = os.open(fifo, os.O_RDWR)
    script = "chmod 777 /proc/self/fd/0; echo owned; cat"
    with started(*minirt_words(*words, *target, "sh", "-c", script), stdin=end) as child:
        assert child.stdout and child.stdout.readline() == "owned\n"
        os.write(end, b"said\n")
        assert child.stdout.readline() == "said\n"
    os.close(end)
    found = fifo.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o600)


def test_a_fifo_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    ends = os.pipe()
    assert copying.is_pipe(ends[0]) and copying.is_pipe(ends[1])
    assert stat.S_ISFIFO(os.fstat(fifo).st_mode) and not copying.is_pipe(fifo)
    for fd in (*ends, fifo):
        os.close(fd)


def test_only_what_is_nobodys_file_gets_another_owner(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    ends = os.pipe()
    launch.give_stdio((fifo, *ends), 1000)
    assert [os.fstat(fd).st_uid for fd in (fifo, *ends)] == [0, 1000, 1000]
    for fd in (*ends, fifo):
        os.close(fd)


# ---- /proc ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), USERNS], ids=["control", "user namespace"])
def test_modes_in_proc_are_safe_in_a_user_namespace(
    minirt: Minirt, image: str, flags: tuple[str, ...]
) -> None:
    """An entry like this one exists once for the machine; the mode is set to what it is."""
    mode = oct(Path("/proc/misc").stat().st_mode & 0o777)[2:]
    words = ("run", "--rm", "--net", "none", *flags, image, "chmod", mode, "/proc/misc")
    assert minirt(*words, code=None).returncode == (1 if flags else 0)
