"""What a caller hands on with execve(2), on purpose or not: streams, ignored signals, limits.

Also sockets, FIFOs and hooks on the way that do not answer.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.conftest import Minirt
from integration.oci import Oci
from integration.sandbox import minirt_words
from integration.traces import Ground

PATIENCE = 60  # seconds: none of these calls waits for anything
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


def call(words: list[str], before: Callable[[], Any]) -> subprocess.CompletedProcess[str]:
    """Run a program in a process in which ``before`` has been called."""
    return subprocess.run(
        words, preexec_fn=before, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


@pytest.fixture(params=["minirt", "minirt-oci"])
def run(
    request: pytest.FixtureRequest, one: Oci, image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Call]:
    """Return a function that runs a script in a container after some preparation."""
    monkeypatch.setenv("MINIRT_NO_SERVER", "1")

    def by_minirt(script: str, before: Callable[[], Any]) -> subprocess.CompletedProcess[str]:
        return call(minirt_words("run", "--rm", "--net", "none", image, "sh", "-c", script), before)

    def by_oci(script: str, before: Callable[[], Any]) -> subprocess.CompletedProcess[str]:
        one.write("sh", "-c", script)
        return call(one.words("run", "--bundle", one.bundle, "a"), before)

    yield by_minirt if request.param == "minirt" else by_oci
    assert one.is_clean()


# ---- streams -------------------------------------------------------------------------------------

CLOSED = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


def closing(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_a_stream_that_the_caller_has_closed_leads_nowhere(
    run: Call, closed: tuple[int, ...]
) -> None:
    """The command has three streams, and those that the caller has are the caller's."""
    script = "for i in 0 1 2; do readlink /proc/self/fd/$i || exit 9; done > /tmp/x; "
    done = run(script + "cat /tmp/x; cat /tmp/x >&2; exit 7", partial(closing, *closed))
    assert done.returncode == 7
    for fd, text in ((1, done.stdout), (2, done.stderr)):
        assert text.count("\n") == (0 if fd in closed else 3), done


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_the_server_gets_three_streams(
    minirt: Minirt, image: str, closed: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to it is none of them."""
    monkeypatch.delenv("MINIRT_NO_SERVER", raising=False)
    minirt("ps")
    words = minirt_words("run", "-i", "--rm", "--net", "none", image, "sh", "-c", "cat; exit 7")
    done = call(words, partial(closing, *closed))
    assert done.returncode == 7, done


def test_the_next_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """The control."""
    script = "import os; os._exit(os.open('/', os.O_RDONLY))"
    assert call([sys.executable, "-c", script], partial(closing, 2)).returncode == 2


@pytest.mark.parametrize("words", [["list"], ["features"], ["state", "a"]], ids=" ".join)
def test_output_that_can_not_be_written_is_an_error(
    one: Oci, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # else it is written earlier
    one.create("a")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            one.words(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    one("delete", "--force", "a")


@pytest.mark.in_process
def test_output_of_minirt_that_can_not_be_written_is_an_error(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            minirt_words("ps"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("minirt: ") and done.stderr.count("\n") == 1


# ---- signals and limits --------------------------------------------------------------------------


def ignoring_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def test_a_caller_that_ignores_its_children(run: Call) -> None:
    assert run("exit 7", ignoring_children).returncode == 7


def test_whoever_ignores_them_can_not_wait_for_them() -> None:
    """The control."""
    script = "import subprocess; print(subprocess.call(['false']))"
    assert call([sys.executable, "-c", script], ignoring_children).stdout == "0\n"


@pytest.mark.parametrize("limit", [16, 50])
def test_too_few_descriptors_leave_nothing_half_made(one: Oci, limit: int) -> None:
    one.write("true")
    words = one.words("run", "--bundle", one.bundle, "a")
    limits = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit))
    done = call(words, limits)
    assert done.returncode == 1
    assert "Too many open files" in done.stderr
    assert one.is_clean()


@pytest.mark.parametrize("count", ["999999999999", "2147483647", "-1"])
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_more_descriptors_are_handed_on_than_there_are(one: Oci, count: str, verb: str) -> None:
    """What is open is looked through, not what is asked for."""
    if verb == "exec":
        one.start("a", "sleep", "1000")
        words = one.words("exec", f"--preserve-fds={count}", "a", "echo", "up")
    else:
        one.write("echo", "up")
        words = one.words("run", f"--preserve-fds={count}", "--bundle", one.bundle, "a")
    assert call(words, lambda: None).stdout == "up\n"
    one("delete", "--force", "a")


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_what_minirt_oci_has_opened_is_not_handed_on(one: Oci, verb: str) -> None:
    """Its lock, its log and its streams have numbers that a caller may ask for as well."""
    script = "for fd in /proc/$$/fd/*; do readlink $fd; done"
    words = one.words("--log", one.top / "log", verb, "--preserve-fds", "1000")
    if verb == "exec":
        one.start("a", "sleep", "1000")
        words += ["a", "sh", "-c", script]
    else:
        one.write("sh", "-c", script)
        words += ["--bundle", str(one.bundle), "a"]
    read, write = os.pipe()
    done = subprocess.run(words, pass_fds=[write], capture_output=True, text=True, check=False)
    pipe = str(Path(f"/proc/self/fd/{write}").readlink())
    os.close(read)
    os.close(write)
    found = done.stdout.split()
    assert found.count(pipe) == 1, "what the caller has is handed on"
    assert len(found) == 4, found
    one("delete", "--force", "a")


@pytest.mark.parametrize("count", ["1_0", " 5", "٣", "1" * 5000])
def test_what_is_no_number_is_refused(
    one: Oci, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.write("true")
    failed = one("run", f"--preserve-fds={count}", "--bundle", one.bundle, "a", code=1)
    assert "it is not a whole number" in failed.stderr
    script = 'LISTEN_PID=$$ exec "$@"'
    words = ["sh", "-c", script, "sh", *one.words("run", "--bundle", one.bundle, "a")]
    monkeypatch.setenv("LISTEN_FDS", count)
    failed = call(words, lambda: None)
    assert "it is not a whole number" in failed.stderr and failed.returncode == 1
    assert one.is_clean()


# ---- hooks, sockets and files that do not answer -------------------------------------------------


def with_hook(one: Oci, script: str, timeout: int) -> None:
    """Give the container a hook, and a state that is longer than a pipe holds."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": timeout}
    one.config["hooks"] = {"createRuntime": [hook]}
    one.config["annotations"] = {f"org.example.{n}": "x" * 1000 for n in range(300)}
    one.write("echo", "up")


def test_a_hook_that_does_not_read_its_state_is_killed_in_time(one: Oci) -> None:
    with_hook(one, "exec sleep 1000", 1)
    failed = one("run", "--bundle", one.bundle, "a", code=1)
    assert "did not end within 1 s" in failed.stderr
    assert one.is_clean()


def test_a_hook_that_prints_before_it_reads_is_heard(one: Oci, tmp_path: Path) -> None:
    script = f"head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; cat > {tmp_path}/state"
    with_hook(one, script, 30)
    assert one("run", "--bundle", one.bundle, "a").stdout == "up\n"
    assert (tmp_path / "state").stat().st_size > 300_000


@contextmanager
def full_queue(place: Path) -> Iterator[None]:
    """Listen at a socket, accept nobody, and let its queue be full."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(place))
        listener.listen(0)
        while True:
            client = held.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(str(place))
            except BlockingIOError:
                break
        yield


def test_a_console_socket_at_which_nobody_accepts_is_an_error(one: Oci, tmp_path: Path) -> None:
    """As with runc; to wait there would hold the caller for ever."""
    one.process["terminal"] = True
    one.write("sleep", "1000")
    place = tmp_path / "console.sock"
    with full_queue(place):
        words = one.words("create", "--bundle", one.bundle, "--console-socket", place, "a")
        failed = call(words, lambda: None)
    assert failed.returncode == 1 and "cannot send to the socket" in failed.stderr
    assert one.is_clean()


def test_whoever_connects_there_waits(tmp_path: Path) -> None:
    """The control."""
    place = tmp_path / "console.sock"
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with full_queue(place), pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", script, str(place)], check=False, timeout=1)


def test_a_log_that_nobody_reads_is_an_error(one: Oci, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    failed = call(one.words("--log", tmp_path / "log", "list"), lambda: None)
    assert failed.returncode == 1 and "Cannot write the log" in failed.stderr


def test_a_log_whose_reader_sleeps_holds_nobody(one: Oci, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_NONBLOCK)
        while select.select([], [writer], [], 0)[1]:
            os.write(writer, b"x" * 4096)
        os.close(writer)
        one.write("echo", "up")
        words = one.words("--log", tmp_path / "log", "--debug", "run", "--bundle", one.bundle, "a")
        assert call(words, lambda: None).stdout == "up\n"
    finally:
        os.close(reader)


def test_a_config_without_an_end_is_refused(one: Oci) -> None:
    (one.bundle / "config.json").unlink(missing_ok=True)
    (one.bundle / "config.json").symlink_to("/dev/zero")
    failed = one("create", "--bundle", one.bundle, "a", code=1)
    assert "is too large" in failed.stderr
    assert one.is_clean()


FILES = ("fifo", "directory", "socket", "null device", "endless device")


def file_of(kind: str, folder: Path) -> Path:
    """Return a path that names a file of this kind."""
    path = folder / "file"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path.symlink_to({"null device": "/dev/null", "endless device": "/dev/zero"}[kind])
    return path


def refused_in_time(words: list[str]) -> str:
    """Run a command that has to fail within 20 seconds; return its error."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0, words
    assert done.stderr and "bug" not in done.stderr and "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "place", ["config", "bundle", "rootfs", "hook", "listenerPath", "console-socket"]
)
def test_create_with_a_path_to_a_file_of_another_kind_is_refused_in_time(
    one: Oci, tmp_path: Path, place: str, kind: str
) -> None:
    path = file_of(kind, tmp_path)
    bundle = one.bundle
    options: tuple[object, ...] = ()
    one.write("true")
    if place == "config":
        (bundle / "config.json").unlink()
        (bundle / "config.json").symlink_to(path)
    elif place == "bundle":
        bundle = path
    elif place == "rootfs":
        one.config["root"]["path"] = str(path)
        if kind == "directory":  # It is a root file system, and has no such command.
            one.write("nosuch")
    elif place == "hook":
        one.config["hooks"] = {"createRuntime": [{"path": str(path)}]}
    elif place == "listenerPath":
        call_of = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
        one.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": str(path),
            "syscalls": [call_of],
        }
    else:
        one.process["terminal"] = True
        options = ("--console-socket", path)
    if place not in ("config", "bundle"):
        one.write()
    error = refused_in_time(one.words("create", "--bundle", bundle, *options, "a"))
    assert error
    assert one.is_clean()


@pytest.mark.parametrize("kind", FILES)
def test_exec_and_update_from_a_file_of_another_kind_are_refused_in_time(
    one: Oci, tmp_path: Path, kind: str
) -> None:
    path = file_of(kind, tmp_path)
    one.start("a")
    try:
        refused_in_time(one.words("exec", "--process", path, "a"))
        refused_in_time(one.words("update", "--resources", path, "a"))
    finally:
        one("delete", "--force", "a")


@pytest.mark.parametrize("kind", FILES)
def test_pid_file_that_is_no_regular_file_is_refused_in_time(
    one: Oci, tmp_path: Path, kind: str
) -> None:
    path = file_of(kind, tmp_path)
    one.write("true")
    refused_in_time(one.words("create", "--bundle", one.bundle, "--pid-file", path, "a"))
    assert one.is_clean()


def test_process_of_exec_is_read_from_a_fifo_whose_writer_is_slow(one: Oci, tmp_path: Path) -> None:
    """As in ``exec --process <(jq …)`` of bash(1)."""
    path = file_of("fifo", tmp_path)
    process = json.dumps({"cwd": "/", "args": ["/bin/echo", "up"]})
    one.start("a")
    writer = os.open(path, os.O_RDWR)
    with subprocess.Popen(
        one.words("exec", "--process", path, "a"), stdout=subprocess.PIPE, text=True
    ) as child:
        time.sleep(0.5)
        os.write(writer, process.encode())
        os.close(writer)
        assert child.communicate(timeout=20)[0] == "up\n"
    one("delete", "--force", "a")
