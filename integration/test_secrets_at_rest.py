"""What minirt and minirt-oci keep on disk is closed to other users, whatever the umask.

Every verb of both programs is used, and then another user, whose number may be that of a
container's root, tries to open, list or call all that lies under the state roots.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import oci
from integration.conftest import Minirt
from integration.oci import Oci
from integration.sandbox import shell, wait_until
from integration.traces import Ground
from minirt.commands import verbs
from minirt.kernel import processes
from minirt.kernel.user_namespaces import root_of
from minirt.oci.command_line import VERBS as OCI_VERBS

SECRET = "PASSWORD=hunter2-at-rest"
UMASKS = (0, 0o022, 0o077, 0o777)
NOBODY = 65534
FIRST = 1_000_000  # the host's number of a container's root
# What is not ours to close: the files of images, of containers and of volumes.
CONTENT = ("rootfs", "layers", "_data", "upper", "work", "merged", "bundle", "trash")
OPEN_INSIDE = {"hosts", "hostname", "resolv.conf"}  # bound over a container's, for all its users


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def reached_by(user: int, top: Path) -> list[str]:
    """Return what a process of ``user`` can list, open or call below ``top``."""
    every = [top / name for name in [".", *map(str, below(top))]]
    read, write = os.pipe()

    def child() -> int:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        found = [str(path.relative_to(top)) for path in every if is_reached(path)]
        os.write(write, json.dumps(found).encode())
        return 0

    pid = processes.fork(child)
    os.close(write)
    with os.fdopen(read) as answer:
        found: list[str] = json.load(answer)
    assert processes.wait(pid) == 0
    return found


def is_reached(path: Path) -> bool:
    """Say whether this process can do anything with a file but see that it is there."""
    for attempt in (open_it, call_it):
        try:
            attempt(path)
        except OSError:
            continue
        return True
    return False


def open_it(path: Path) -> None:
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
            return
        except OSError as error:
            last = error
    raise last


def call_it(path: Path) -> None:
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as line:
            try:
                line.connect(str(path))
                return
            except OSError as error:
                last = error
    raise last


def below(top: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            yield (Path(folder) / name).relative_to(top)


def too_open(top: Path) -> list[str]:
    """Return what of ours would be open if somebody opened the folders above it."""
    found = []
    for path in below(top):
        if set(path.parts) & set(CONTENT) or path.name in OPEN_INSIDE:
            continue
        mode = (top / path).lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        allowed = 0o770 if "networks" in path.parts else 0o700  # The group of the resolvers.
        if stat.S_IMODE(mode) & 0o777 & ~allowed and path.name not in OPEN_INSIDE:
            found.append(f"{stat.S_IMODE(mode):o} {path}")
    return found


# ---- minirt --------------------------------------------------------------------------------------


def use_minirt(minirt: Minirt, image: str, top: Path) -> None:
    """Use every verb of minirt once, so that all it ever writes is there."""
    used: set[str] = set()

    def use(*words: object, code: int | None = 0) -> str:
        first = str(words[0])
        used.add(f"{first} {words[1]}" if first in verbs.GROUPS else first)
        return minirt(*words, code=code).stdout

    words = ("-e", SECRET, "--label", SECRET, "--net", "shop")
    tar = top / "saved.tar"
    use("version"), use("info"), use("completion", "bash"), use("server", "status")
    use("image", "ls"), use("image", "inspect", image), use("image", "save", "-o", tar, image)
    use("image", "load", "-i", tar), use("image", "import", rootfs_of(top), "other")
    use("image", "rm", "other")
    use("network", "create", "shop"), use("network", "create", "other")
    use("network", "ls"), use("network", "inspect", "shop")
    use("volume", "create", "things"), use("volume", "create", "old"), use("volume", "rm", "old")
    use("volume", "ls"), use("volume", "inspect", "things")
    script = ("sh", "-c", "while true; do echo said; read line; done")
    use("run", "-d", "-i", "--name", "web", "-v", "things:/t", "-p", "127.0.0.1::80", *words,
        image, *script)  # fmt: skip
    use("run", "-d", "--name", "own", "--userns", "private", *words, image, "sleep", "1000")
    use("run", "-d", "--name", "brief", *words, image, "true")
    use("create", "--name", "later", *words, image, "sleep", "1000")
    use("start", "later"), use("wait", "brief")
    use("exec", "-e", SECRET, "web", "true"), use("exec", "-d", "own", "sleep", "100")
    use("ps"), use("inspect", "web"), use("logs", "web"), use("port", "web"), use("top", "web")
    use("attach", "--no-stdin", "brief", code=None)
    use("stats", "--no-stream", "web"), use("diff", "web"), use("update", "--cpus", "1", "web")
    use("cp", __file__, "web:/tmp/x"), use("rename", "later", "soon")
    use("pause", "web"), use("unpause", "web")
    (
        use("network", "connect", "other", "web"),
        use("dns", "query", "own", "--from", "web", code=None),
    )
    use("dns", "trace", "own", "--from", "web", code=None)
    use("network", "explain", "shop", code=None), use("network", "path", "web", "own", code=None)
    use("network", "doctor", code=None), use("network", "reload")
    use("network", "disconnect", "other", "web"), use("network", "rm", "other")
    use("network", "create", "third"), use("network", "prune", "-f"), use("volume", "prune", "-f")
    use("restart", "-t", "0", "soon"), use("kill", "soon"), use("rm", "-f", "soon")
    use("run", "-d", "--name", "last", *words, image, "true"), use("wait", "last")
    use("stop", "-t", "0", "last"), use("prune", "-f")
    expected = {verb for verb in verbs.VERBS if verb not in verbs.GROUPS}
    expected |= {f"{group} {verb}" for group, inner in verbs.GROUPS.items() for verb in inner}
    assert used == expected - {"server stop"}  # Its socket is one of those that are looked at.


def rootfs_of(top: Path) -> Path:
    tar = top / "empty.tar"
    (top / "empty/etc").mkdir(parents=True)
    shell("tar", "-C", top / "empty", "-cf", tar, ".")
    return tar


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """Return a folder for what the commands read and write besides the state."""
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_nothing_that_minirt_keeps_is_open_to_others(
    minirt: Minirt, image: str, ground: Ground, beside: Path, umask: int
) -> None:
    """Also where the operator has made both folders, so that everybody may look into them."""
    for folder in (ground.root, ground.run):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    ground.root.parent.chmod(0o755)
    open_the_way(ground.root.parent)
    with masked(umask):
        use_minirt(minirt, image, beside)
    inner = root_of(int(minirt("inspect", "-f", "{{.State.Pid}}", "own").stdout))
    assert inner and inner[0] > 0
    for user in (NOBODY, inner[0]):
        for top in (ground.root, ground.run):
            assert set(reached_by(user, top)) <= {"."}, oct(umask)
    assert not too_open(ground.root)
    assert not too_open(ground.run)
    assert stat.S_IMODE((beside / "saved.tar").stat().st_mode) & 0o077 == 0
    data = ground.root / "volumes/things/_data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o755, "the users of containers may enter volumes"
    minirt("rm", "-f", "web", "own")


def open_the_way(folder: Path) -> None:
    """Let everybody walk to a folder of the test."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == 0 and not one.stat().st_mode & 0o001:
            one.chmod(one.stat().st_mode | 0o011)


def test_what_is_open_is_found(tmp_path: Path) -> None:
    """The control: the same look, at files of every kind that are not closed."""
    open_the_way(tmp_path)
    tmp_path.chmod(0o711)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    folder.chmod(0o755)
    os.mkfifo(folder / "fifo", 0o600)
    (folder / "fifo").chmod(0o622)
    (folder / "record.json").write_text(SECRET)
    (folder / "private.json").write_text(SECRET)
    (folder / "private.json").chmod(0o600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(folder / "sock"))
        listener.listen()
        (folder / "sock").chmod(0o777)
        found = reached_by(NOBODY, tmp_path)
    assert sorted(found) == ["folder", "folder/record.json", "folder/sock"]
    assert len(too_open(tmp_path)) == 4


# ---- minirt-oci ----------------------------------------------------------------------------------


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


def use_oci(one: Oci, look: Callable[[], None]) -> None:
    """Use every verb of minirt-oci; ``look`` is called where there is most to be seen."""
    used: set[str] = set()

    def use(verb: str, *words: object, code: int | None = 0) -> str:
        used.add(verb)
        return one("--log", one.top / "log", verb, *words, code=code).stdout

    one.process["env"].append(SECRET)
    one.create("made", "sleep", "1000", options=("--pid-file", one.top / "pid"))
    one.start("up", "sleep", "1000")
    used |= {"create", "start"}
    use("state", "up"), use("list"), use("ps", "up"), use("events", "--stats", "up")
    use("stats", "up"), use("features"), use("update", "--pids-limit", "50", "up")
    use("exec", "-e", SECRET, "up", "true"), use("pause", "up"), use("resume", "up")
    use("spec", "--bundle", one.top), use("checkpoint", "up", code=1), use("restore", "x", code=1)
    one.write("true")
    use("run", "--keep", "--bundle", one.bundle, "over")
    look()
    use("kill", "up", "KILL"), use("delete", "--force", "up")
    use("delete", "over"), use("delete", "--force", "made")
    assert used == set(OCI_VERBS)
    look()


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
@pytest.mark.parametrize("userns", [False, True], ids=["", "userns"])
def test_nothing_that_minirt_oci_keeps_is_open_to_others(
    one: Oci, umask: int, userns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if userns:
        line = [{"containerID": 0, "hostID": FIRST, "size": 65536}]
        one.linux["namespaces"].append({"type": "user"})
        one.linux.update(uidMappings=line, gidMappings=line)
        shell("chown", "--recursive", "--no-dereference", f"{FIRST}:{FIRST}", one.rootfs)
    one.root.mkdir()
    one.root.chmod(0o755)
    open_the_way(one.root)

    def look() -> None:
        for user in (NOBODY, FIRST):
            assert set(reached_by(user, one.root)) <= {"."}, oct(umask)
        assert not too_open(one.root)
        if (one.root / "up").exists():
            copy = one.root / "up/config.json"
            assert SECRET in copy.read_text(), "there is something to be hidden"
        assert stat.S_IMODE((one.top / "log").stat().st_mode) & 0o077 == 0

    with masked(umask):
        use_oci(one, look)


def test_a_supervised_container_says_that_it_is_ready_and_nobody_else_can(
    one: Oci, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its socket is open to all users of the container, so the folder above must be closed."""
    one.root.mkdir()
    open_the_way(one.root)
    address = tmp_path / "supervisor.sock"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(address))
        one.create("up", "sleep", "1000")
        place = one.root / "up/notify/notify.sock"
        wait_until((one.root / "up/notify").exists, "its folder")
        assert set(reached_by(NOBODY, one.root)) <= {"."}
        one("delete", "--force", "up")
        assert not place.exists()
