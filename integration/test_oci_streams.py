"""Standard streams, terminals, descriptors and PID files, as conmon and the shim want them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import bundles, oci
from integration.oci import Oci
from integration.sandbox import PATIENCE
from integration.traces import Ground
from minirt.kernel import terminals


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


@contextmanager
def console_socket(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        folder = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        listener.listen()
        listener.settimeout(10 * PATIENCE)
        yield listener


def received(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 100, 4)
    assert len(descriptors) == 1
    return descriptors[0]


# ---- terminals ---------------------------------------------------------------------------------


def test_the_master_of_the_terminal_goes_to_the_console_socket(one: Oci) -> None:
    one.process["terminal"] = True
    one.process["consoleSize"] = {"height": 30, "width": 90}
    one.process["user"] = {"uid": 33, "gid": 33}
    path = one.top / ("long" * 20) / "console.sock"  # longer than a socket's path may be
    path.parent.mkdir()
    with console_socket(path) as listener:
        script = "stat -c %U:%g /dev/pts/0; tty; stty size; "
        script += "for n in 0 1 2; do readlink /proc/$$/fd/$n; done"
        one.create("a", "sh", "-c", script, options=("--console-socket", path))
        master = received(listener)
    one("start", "a")
    lines = bundles.read_all(master).splitlines()
    os.close(master)
    assert lines == ["www:5", "/dev/pts/0", "30 90", *["/dev/pts/0"] * 3]
    one.await_end("a")
    one("delete", "a")


def test_exec_has_a_terminal_of_its_own(one: Oci) -> None:
    one.start("a")
    file = one.top / "process.json"
    process = {"terminal": True, "cwd": "/", "env": ["PATH=/bin"], "args": ["stty", "size"]}
    file.write_text(json.dumps({**process, "consoleSize": {"height": 11, "width": 22}}))
    path = one.top / "console.sock"
    with console_socket(path) as listener:
        one("exec", "--detach", "--console-socket", path, "--process", file, "a")
        master = received(listener)
    assert bundles.read_all(master) == "11 22\n"
    os.close(master)
    one("delete", "--force", "a")


def test_a_terminal_that_nobody_would_hold_is_refused(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("true")
    for words in (("create",), ("run", "--detach")):
        refused = one(*words, "--bundle", one.bundle, "a", code=1)
        assert "without setting console socket" in refused.stderr
    assert one.is_clean()


def test_a_console_socket_without_a_terminal_is_refused(one: Oci) -> None:
    one.write("true")
    words = ("create", "--bundle", one.bundle, "--console-socket", one.top / "x", "a")
    assert "cannot use console socket" in one(*words, code=1).stderr


def test_a_socket_where_nobody_listens_fails_and_leaves_nothing(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("true")
    words = ("create", "--bundle", one.bundle, "--console-socket", one.top / "x", "a")
    assert "cannot send" in one(*words, code=1).stderr
    assert one.is_clean()


def test_run_carries_the_terminal_where_there_is_none(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("sh", "-c", "tty; read line; echo got $line")
    done = one("run", "--bundle", one.bundle, "a", input="words\n")
    assert "/dev/pts/0" in done.stdout
    assert "got words" in done.stdout


def test_run_and_exec_carry_it_to_the_callers_terminal(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("sh", "-c", "stty size; read line; echo got $line")
    master, slave = os.openpty()
    terminals.set_size(master, 44, 55)
    words = one.words("run", "--bundle", one.bundle, "a")
    with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave) as running:
        os.close(slave)
        seen = b""
        while b"44 55" not in seen:
            seen += os.read(master, 100)
        os.write(master, b"words\r")
        seen = bundles.read_all(master).encode()
        assert running.wait() == 0
    os.close(master)
    assert b"got words" in seen


# ---- standard streams and descriptors ----------------------------------------------------------


def test_the_container_inherits_the_streams_of_create_and_nothing_else_keeps_them(
    one: Oci,
) -> None:
    one.write("sh", "-c", "cat; ls /proc/$$/fd; true")
    ours, theirs = os.pipe()
    words = one.words("create", "--bundle", one.bundle, "a")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=theirs) as creating:
        os.close(theirs)
        assert creating.wait() == 0  # create has gone, the streams live
        one("start", "a")
        assert creating.stdin
        creating.stdin.write(b"from the caller\n")
        creating.stdin.close()
        said = bundles.read_all(ours)  # to the end: nobody else has it open
    os.close(ours)
    assert said.split("\n")[0] == "from the caller"
    assert said.split("\n")[1:-1] == ["0", "1", "2"]
    one.await_end("a")
    one("delete", "a")


@pytest.mark.parametrize("verb", ["create", "run"])
def test_further_descriptors_keep_their_numbers_and_holes_stay_holes(one: Oci, verb: str) -> None:
    read, write = os.pipe()
    one.write("sh", "-c", "echo done >&5; exec ls /proc/self/fd")
    words = one.words(verb, "--bundle", one.bundle, "--preserve-fds", "4", "a")
    words = oci.with_descriptor(write, 5, words)
    with one.output.open("wb") as output:
        subprocess.run(words, stdin=-3, stdout=output, pass_fds=(write,), check=True)
    os.close(write)
    if verb == "create":
        one("start", "a")
    said = bundles.read_all(read)
    os.close(read)
    assert said == "done\n"
    assert one.said().split() == ["0", "1", "2", "3", "5"]  # 3 is what ls itself has opened
    one("delete", "--force", "a")


@pytest.mark.parametrize("meant", [True, False])
def test_sockets_that_systemd_has_opened_reach_the_command(one: Oci, meant: bool) -> None:
    """sd_listen_fds(3); with a further descriptor behind them, asked for by --preserve-fds."""
    one.write("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; exec ls /proc/self/fd")
    words = one.words("run", "--bundle", one.bundle, *(["--preserve-fds", "1"] * meant), "a")
    script = f"""
        exec 3</dev/null 4</dev/null 5</dev/null
        export LISTEN_FDS=2 LISTEN_FDNAMES=x:y LISTEN_PID={"$$" if meant else 7}
        exec "$@"
    """
    words = ["bash", "-c", script, "bash", *words]
    done = subprocess.run(words, capture_output=True, check=True, text=True, stdin=-3)
    told, *found = done.stdout.splitlines()
    assert told == ("2 1 x:y" if meant else "")
    assert found == (["0", "1", "2", "3", "4", "5", "6"] if meant else ["0", "1", "2", "3"])


def test_without_being_asked_no_descriptor_is_handed_through(one: Oci) -> None:
    one.write("sh", "-c", "ls /proc/$$/fd; true")
    words = one.words("run", "--bundle", one.bundle, "a")
    with (one.top / "x").open("w") as other:
        fds = (other.fileno(),)
        done = subprocess.run(words, stdout=subprocess.PIPE, pass_fds=fds, check=True, stdin=-3)
    assert done.stdout.split() == [b"0", b"1", b"2"]


# ---- PID files ---------------------------------------------------------------------------------


def test_the_pid_file_has_bare_digits_and_is_relative_to_the_caller(one: Oci) -> None:
    one.write("sleep", "100")
    words = one.words("create", "--bundle", one.bundle, "--pid-file", "pid", "a")
    null = subprocess.DEVNULL
    subprocess.run(words, stdin=null, stdout=null, cwd=one.top, check=True)
    assert (one.top / "pid").read_text() == str(one.state("a")["pid"])
    one("delete", "a")


def test_a_pid_file_that_can_not_be_written_fails_and_leaves_nothing(one: Oci) -> None:
    one.write("true")
    words = ("create", "--bundle", one.bundle, "--pid-file", "/no/such/pid", "a")
    assert "PID file" in one(*words, code=1).stderr
    assert one.is_clean()


def test_the_pidfd_of_init_goes_to_a_socket(one: Oci) -> None:
    path = one.top / "pidfd.sock"
    with console_socket(path) as listener:
        one.create("a", "true", options=("--pidfd-socket", path))
        pidfd = received(listener)
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    os.close(pidfd)
    assert f"Pid:\t{one.state('a')['pid']}" in lines
    one("delete", "a")


@pytest.mark.parametrize(("uid", "flags"), [(33, os.O_RDONLY), (0, os.O_RDWR)])
def test_a_file_that_is_only_read_and_any_file_for_root_stay_their_owners(
    one: Oci, uid: int, flags: int
) -> None:
    """Whoever owns a file may write to it: with runc and crun /etc/passwd is given away here."""
    file = one.top / "file"
    file.touch()
    os.chown(file, 7, 7)
    one.process["user"] = {"uid": uid, "gid": uid}
    one.write("true")
    fd = os.open(file, flags)
    subprocess.run(one.words("run", "--bundle", one.bundle, "a"), stdin=fd, check=True)
    os.close(fd)
    assert file.stat().st_uid == 7
