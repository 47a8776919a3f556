"""One more process in a container: what runc's callers expect of exec."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import wait_until
from integration.traces import Ground


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.start("a")
    return made


@pytest.fixture(autouse=True)
def deleted(one: Oci) -> Any:
    yield
    one("delete", "--force", "a")


def process_file(one: Oci, *args: str, **changes: Any) -> Path:
    file = one.top / "process.json"
    file.write_text(json.dumps({"cwd": "/", "env": ["PATH=/bin"], "args": args, **changes}))
    return file


def test_it_runs_beside_the_command_and_its_exit_code_is_returned(one: Oci) -> None:
    done = one("exec", "a", "sh", "-c", "ps | grep -c 'sleep 100'; exit 5", code=5)
    assert int(done.stdout) >= 1


def test_options_of_the_command_stay_its_own(one: Oci) -> None:
    assert one("exec", "a", "echo", "-n", "--tty", "-d").stdout == "--tty -d"


def test_it_inherits_what_the_config_says_of_the_process(one: Oci) -> None:
    one.process.update(
        {
            "env": ["PATH=/bin", "FROM=config"],
            "cwd": "/tmp",
            "user": {"uid": 33, "gid": 33, "umask": 0o077},
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}],
        }
    )
    one.start("b")
    script = "pwd; echo $FROM; id -u; umask; ulimit -n; grep NoNewPrivs /proc/self/status"
    lines = one("exec", "b", "sh", "-c", script).stdout.split("\n")
    assert lines[:5] == ["/tmp", "config", "33", "0077", "99"]
    assert lines[5].split() == ["NoNewPrivs:", "1"]
    one("delete", "--force", "b")


def test_options_change_the_process(one: Oci) -> None:
    options = ("--env", "A=1", "-e", "A=2", "--cwd", "/tmp", "--user", "33:50", "-g", "44")
    done = one("exec", *options, "a", "sh", "-c", "echo $A $HOME; pwd; id -u; id -g; id -G")
    assert done.stdout.split("\n")[:5] == ["2 /www", "/tmp", "33", "50", "50 44"]


def test_a_user_can_be_named(one: Oci) -> None:
    assert one("exec", "--user", "www", "a", "id", "-u").stdout == "33\n"


def test_a_capability_can_be_added(one: Oci) -> None:
    show = ("grep", "CapEff", "/proc/self/status")
    before = int(one("exec", "a", *show).stdout.split()[1], 16)
    after = int(one("exec", "--cap", "CAP_SYS_PTRACE", "a", *show).stdout.split()[1], 16)
    assert after == before | 1 << 19
    done = one("exec", "--cap", "NONSENSE", "a", "true")
    assert "ignoring unknown or unavailable capabilities: [CAP_NONSENSE]" in done.stderr


def test_the_file_of_a_process_is_all_that_counts(one: Oci) -> None:
    file = process_file(one, "sh", "-c", "env; pwd", env=["PATH=/bin", "A=1"], cwd="/tmp")
    lines = one("exec", "--process", file, "a").stdout.split("\n")
    assert "A=1" in lines
    assert "HOME=/root" in lines
    assert "/tmp" in lines
    assert not [line for line in lines if line.startswith("FROM")]


def test_it_works_in_a_created_container_and_leaves_it_created(one: Oci) -> None:
    one.create("b", "sleep", "100")
    assert one("exec", "b", "echo", "hello").stdout == "hello\n"
    assert one.status("b") == "created"
    one("delete", "b")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a", "no-such-program"), "executable file not found in $PATH"),
        (("--cwd", "/no/such", "a", "true"), "/no/such as the working directory: No such file"),
        (("--pid-file", "/no/such/file", "a", "true"), "No such file or directory"),
        (("b", "true"), "does not exist"),
        (("--process", "/no/such", "a"), "No such file or directory"),
        (("--nonsense", "a", "true"), "not defined"),
        (("a",), "empty"),
    ],
)
def test_what_fails_before_it_runs_is_255_and_one_line(
    one: Oci, words: tuple[str, ...], why: str
) -> None:
    failed = one("exec", *words, code=255)
    assert why in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_a_stopped_container_takes_nobody_in(one: Oci) -> None:
    one("kill", "a", "KILL")
    one.await_end("a")
    assert "stopped" in one("exec", "a", "true", code=255).stderr


def test_a_paused_container_takes_nobody_in(one: Oci) -> None:
    one("pause", "a")
    assert "paused" in one("exec", "a", "true", code=255).stderr
    one("resume", "a")


def test_detached_it_is_left_to_the_caller(one: Oci, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    words = one.words("exec", "--detach", "--pid-file", file, "a", "sleep", "50")
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    pid = file.read_text()
    assert pid.isdigit()
    assert int(pid) != one.state("a")["pid"]
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0050\0"
    assert json.loads(one("ps", "--format", "json", "a").stdout) == sorted(
        [one.state("a")["pid"], int(pid)]
    )


def test_further_descriptors_are_handed_through_and_no_others(one: Oci) -> None:
    read, write = os.pipe()
    words = one.words("exec", "--preserve-fds", "2", "a", "sh", "-c", "ls /proc/$$/fd; echo x >&4")
    done = subprocess.run(
        oci.with_descriptor(write, 4, words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        pass_fds=(write,),
        check=True,
    )
    os.close(write)
    assert os.read(read, 10) == b"x\n"
    os.close(read)
    assert done.stdout.split() == [b"0", b"1", b"2", b"4"]


def test_it_joins_a_group_below_the_containers_and_no_other(one: Oci) -> None:
    assert one("exec", "--cgroup", "/", "a", "true").returncode == 0
    for path in ("../other", "/no/such", "cpu:../x"):
        assert "--cgroup" in one("exec", "--cgroup", path, "a", "true", code=255).stderr


def test_signals_are_passed_on(one: Oci) -> None:
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    words = one.words("exec", "a", "sh", "-c", script)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout and running.stdout.readline() == "ready\n"
        running.terminate()
        assert running.wait() == 9


def test_what_it_has_started_ends_with_the_container(one: Oci) -> None:
    words = one.words("exec", "--detach", "a", "sleep", "51")
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    pids = json.loads(one("ps", "--format", "json", "a").stdout)
    one("kill", "a", "KILL")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
