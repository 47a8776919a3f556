"""State folders and sockets of other users: minirt refuses them before it sends or reads anything.

Here "nobody" makes the folder that root then uses as MINIRT_RUNROOT, and listens in it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import oci
from integration.conftest import Minirt, Program
from integration.sandbox import minirt_words, shell
from integration.traces import Ground
from minirt.container import protocol
from minirt.kernel import processes, sockets
from minirt.network import resolver_link, resolver_start
from minirt.server import client
from minirt.state import run_dir

pytestmark = pytest.mark.in_process
NOBODY = 65534
SECRET = "PASSWORD=hunter2-on-its-way"


@contextmanager
def listening(place: Path, kind: int) -> Iterator[socket.socket]:
    """Listen at a path as another user does; the kernel notes who called listen(2)."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(place))
        place.chmod(0o777)

        def child() -> int:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            listener.listen()
            return 0

        assert processes.wait(processes.fork(child)) == 0
        listener.settimeout(0.5)
        yield listener


def heard_by(listener: socket.socket) -> bytes:
    """Return what clients have said; nothing if none has come, or all have left at once."""
    heard = b""
    while True:
        try:
            line, _ = listener.accept()
        except TimeoutError:
            return heard
        with line:
            line.settimeout(0.5)
            try:
                while data := line.recv(1 << 16):
                    heard += data
            except TimeoutError:
                pass


@pytest.fixture
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder of another user, with a folder for a server in it."""
    top = tmp_path_factory.mktemp("f")
    top.chmod(0o711)
    folder = top / "run"
    (folder / "server").mkdir(parents=True)
    shell("chown", "-R", f"{NOBODY}:{NOBODY}", folder)
    yield folder
    shell("rm", "-rf", top)


# ---- the client and the server -----------------------------------------------------------------


def test_a_false_server_hears_nothing(
    foreign: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    words = minirt_words("--runroot", foreign, "run", "--rm", "-e", SECRET, image, "true")
    with listening(foreign / "server" / client.name(), socket.SOCK_STREAM) as listener:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert heard_by(listener) == b""
    assert done.returncode == 125
    assert f"{foreign} belongs to user {NOBODY}" in done.stderr
    assert "MINIRT_RUNROOT" in done.stderr and done.stderr.count("\n") == 1
    assert sorted(one.name for one in foreign.iterdir()) == ["server"], "nothing was made there"


def test_a_client_that_does_not_look_tells_it_all(foreign: Path) -> None:
    """The control: the same words, said without a look at who listens."""
    place = foreign / "server" / client.name()
    with listening(place, socket.SOCK_STREAM) as listener, socket.socket(socket.AF_UNIX) as line:
        line.connect(str(place))
        before, sys.argv[:] = sys.argv[:], ["minirt", "run", "-e", SECRET, "busybox"]
        pidfd = client.hand_over(line, [])
        sys.argv[:] = before
        line.close()
        assert pidfd is None
        assert SECRET.encode() in heard_by(listener)


def test_a_false_server_in_a_folder_of_roots_hears_nothing_either(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SO_PEERCRED tells who listens, wherever the socket lies."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    folder = ground.run / "server"
    folder.mkdir(parents=True, mode=0o700)
    with listening(folder / client.name(), socket.SOCK_STREAM) as listener:
        done = subprocess.run(
            minirt_words("ps", "--filter", f"label={SECRET}"), capture_output=True, check=False
        )
        assert heard_by(listener) == b""
    assert done.returncode == 0, "the client runs the command itself"


def test_no_server_starts_in_a_foreign_folder(foreign: Path) -> None:
    words = (sys.executable, "-I", "-m", "minirt.server", str(foreign / "server"), "name")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert list((foreign / "server").iterdir()) == []


# ---- the folders -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--root", "--runroot"])
@pytest.mark.parametrize(
    "words", [("ps",), ("network", "ls"), ("image", "ls"), ("run", "busybox")], ids=" ".join
)
def test_every_verb_refuses_a_foreign_folder(
    minirt: Minirt, foreign: Path, option: str, words: tuple[str, ...]
) -> None:
    failed = minirt(option, foreign, *words, code=None)
    assert failed.returncode in (1, 125)
    assert "is not safe as MINIRT_" in failed.stderr
    assert f"chown root {foreign}" in failed.stderr


def test_a_foreign_folder_above_counts(minirt: Minirt, foreign: Path) -> None:
    """Its owner could rename ours, and put another in its place."""
    inner = foreign / "mine"
    inner.mkdir(mode=0o700)
    assert inner.stat().st_uid == 0
    assert f"{foreign} belongs to" in minirt("--runroot", inner, "ps", code=1).stderr


def test_a_folder_in_tmp_is_made_and_one_of_another_user_refused(
    minirt: Minirt, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o1777)
    minirt("--runroot", shared / "new", "ps")
    assert (shared / "new").stat().st_mode & 0o777 == 0o700
    (shared / "theirs").mkdir()
    os.chown(shared / "theirs", NOBODY, NOBODY)
    assert "belongs to" in minirt("--runroot", shared / "theirs", "ps", code=1).stderr


@pytest.mark.parametrize("way", ["--root", "MINIRT_ROOT"])
def test_minirt_oci_refuses_a_foreign_folder(
    foreign: Path, ground: Ground, rootfs: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Also that of compiled filters: whoever owns it can rename one to another one's name."""
    one = oci.make(ground.root / "oci", rootfs)
    one.write("true")
    root = foreign if way == "--root" else one.root
    if way == "MINIRT_ROOT":
        monkeypatch.setenv(way, str(foreign))
    words = [*oci.WORDS, "--root", root, "run", "--bundle", one.bundle, "a"]
    failed = shell(*words, code=1)
    assert f"is not safe as {way}" in failed.stderr
    assert not (root / "a").exists()


def test_others_may_still_ask_what_needs_no_state(foreign: Path, as_nobody: Program) -> None:
    for words in (("version",), ("--help",), ("run", "--help"), ("completion", "bash")):
        as_nobody("--runroot", str(foreign), *words)


# ---- monitors and resolvers --------------------------------------------------------------------


def test_nothing_is_said_to_a_false_monitor(ground: Ground) -> None:
    ground.run.mkdir(mode=0o700)
    with listening(ground.run / "monitor.sock", socket.SOCK_SEQPACKET) as listener:
        with pytest.raises(sockets.ForeignPeer, match=f"user {NOBODY} listens"):
            protocol.connect(ground.run)
        assert heard_by(listener) == b""


def test_nothing_is_said_to_a_false_resolver(ground: Ground) -> None:
    folder = run_dir() / "networks" / "shop"
    folder.mkdir(mode=0o700, parents=True)
    with listening(folder / resolver_start.SOCKET, socket.SOCK_SEQPACKET) as listener:
        with pytest.raises(Exception, match=f"user {NOBODY} listens"):
            resolver_link.connect("shop")
        resolver_link.dismiss("shop")
        assert heard_by(listener) == b""


ASKING = """
import socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect(sys.argv[1])
line.settimeout(20)
try:
    line.send(sys.argv[2].encode())
    print(line.recv(1 << 16).decode() or "closed")
except (ConnectionResetError, BrokenPipeError):
    print("closed")
"""


def ask(place: Path, packet: str, user: int) -> str:
    """Send a packet to a socket as another user, to whom all folders above were opened."""
    for one in (place, *place.parents):
        if one.stat().st_mode & 0o007 != 0o007:
            one.chmod(one.stat().st_mode | (0o006 if one == place else 0o001))
    done = subprocess.run(
        ["/usr/bin/python3", "-c", ASKING, place.name, packet],  # .venv may lie in root's home.
        user=user, group=user, extra_groups=[], cwd=place.parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("user", "answer"), [(0, 'J{"ok": true}'), (NOBODY, "closed")])
def test_a_monitor_serves_its_own_user(
    minirt: Minirt, image: str, ground: Ground, user: int, answer: str
) -> None:
    minirt("run", "-d", "--net", "none", "--name", "one", image, "sleep", "1000")
    (place,) = ground.run.glob("containers/*/monitor.sock")
    asked = 'J{"do": "attach", "stdin": false, "output": true}'
    assert ask(place, asked, user) == answer
    assert minirt("exec", "one", "echo", "up").stdout == "up\n", "it serves others still"
    minirt("rm", "-f", "one")


@pytest.mark.parametrize("packet", ["Jno JSON", "J[]", 'J{"no": 5}', "J" + "[" * 50_000, "W1"])
def test_a_packet_that_makes_no_sense_does_not_end_a_container(
    minirt: Minirt, image: str, ground: Ground, packet: str
) -> None:
    """As from a minirt of another version."""
    minirt("run", "-d", "-t", "--net", "none", "--name", "one", image, "sleep", "1000")
    (place,) = ground.run.glob("containers/*/monitor.sock")
    assert ask(place, packet, 0) == "closed"
    assert minirt("exec", "one", "echo", "up").stdout == "up\n"
    minirt("rm", "-f", "one")


@pytest.mark.parametrize("user", [0, NOBODY])
def test_a_resolver_serves_root(minirt: Minirt, image: str, ground: Ground, user: int) -> None:
    """It hears of "leave" from root alone."""
    minirt("network", "create", "shop")
    minirt("run", "-d", "--net", "shop", "--name", "one", image, "sleep", "1000")
    place = ground.run / "networks/shop" / resolver_start.SOCKET
    # Once it answers, it does not set the modes of its folders any more.
    minirt("exec", "one", "nslookup", "one")
    assert ask(place, '{"leave": true}', user) == "closed"
    log = (ground.run / "networks/shop" / resolver_start.LOG).read_text()
    assert log == ""
    minirt("exec", "one", "nslookup", "one")
    minirt("rm", "-f", "one")
    minirt("network", "rm", "shop")
