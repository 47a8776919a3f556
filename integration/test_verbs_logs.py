"""``logs`` of containers that live, end, and are removed meanwhile."""

from __future__ import annotations

import time

from integration.conftest import Minirt
from integration.sandbox import minirt_words, shell, started, wait_until

TICK = "i=0; while [ -e /tick ]; do i=$((i+1)); echo line $i; sleep 0.05; done; echo end"


def test_both_streams_come_out_where_they_went_in(minirt: Minirt, image: str) -> None:
    minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", "echo out; echo err >&2")
    done = minirt("logs", "one")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    (line,) = minirt("logs", "-t", "one").stdout.splitlines()
    moment, text = line.split(" ", 1)
    assert text == "out"
    assert moment.endswith("Z") and len(moment) == 30
    assert minirt("logs", "--since", moment, "one").stdout == "out\n"
    assert minirt("logs", "--until", "2020-01-01", "one").stdout == ""


def test_the_tail_is_the_end(minirt: Minirt, image: str) -> None:
    minirt("run", "--name", "one", "--net", "none", image, "seq", "5000")
    assert minirt("logs", "-n", "2", "one").stdout == "4999\n5000\n"
    assert minirt("logs", "--tail", "0", "one").stdout == ""
    assert minirt("logs", "one").stdout.count("\n") == 5000
    assert "no number" in minirt("logs", "-n", "x", "one", code=1).stderr


def test_following_shows_lines_as_they_come_and_ends_with_the_container(
    minirt: Minirt, image: str
) -> None:
    script = f"touch /tick; {TICK}"
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sh", "-c", script)
    with started(*minirt_words("logs", "-f", "one")) as reader:
        assert reader.stdout is not None
        for number in range(1, 6):
            assert reader.stdout.readline() == f"line {number}\n"
        minirt("exec", "one", "rm", "/tick")
        assert reader.stdout.read().endswith("end\n")
        assert reader.wait(10) == 0


def test_a_follower_costs_nothing_while_nothing_is_printed(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sh", "-c", "echo a; sleep 1000")
    with started(*minirt_words("logs", "-f", "one")) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "a\n"
        wait_until(lambda: state_of(reader.pid) == "S")
        before = switches_of(reader.pid)
        time.sleep(0.5)  # the test is that nothing happens
        assert switches_of(reader.pid) == before
        minirt("rm", "-f", "one")
        assert reader.wait(10) == 0


def test_logs_of_a_container_that_removes_itself_are_read_to_the_end(
    minirt: Minirt, image: str
) -> None:
    script = f"touch /tick; {TICK}"
    minirt("run", "-d", "--rm", "--name", "one", "--net", "none", image, "sh", "-c", script)
    with started(*minirt_words("logs", "-f", "one")) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "line 1\n"
        minirt("exec", "one", "rm", "/tick")
        assert reader.stdout.read().endswith("end\n")
        assert reader.wait(10) == 0
    assert minirt("ps", "-aq").stdout == ""


def test_logs_that_are_not_kept_can_not_be_shown(minirt: Minirt, image: str) -> None:
    minirt("run", "--name", "one", "--net", "none", "--log-driver", "none", image, "echo", "hi")
    assert "log-driver none" in minirt("logs", "one", code=1).stderr


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def switches_of(pid: int) -> int:
    """Return how often the process was given a processor (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


def test_where_no_inotify_instance_is_left_the_right_limit_is_named(
    minirt: Minirt, image: str
) -> None:
    """In a user namespace with a limit of its own: the host's is everybody's (namespaces(7))."""
    minirt("run", "--name", "one", "--net", "none", image, "echo", "said")
    logs = ("env", "MINIRT_NO_SERVER=1", *minirt_words("logs", "-f", "one"))
    script = 'echo "$0" > /proc/sys/user/max_inotify_instances; exec "$@"'
    within = ("unshare", "--user", "--map-root-user", "sh", "-ec", script)
    failed = shell(*within, 0, *logs, code=1)
    assert "fs.inotify.max_user_instances" in failed.stderr
    assert "ulimit" not in failed.stderr
    assert shell(*within, 10, *logs).stdout == "said\n"  # The control.


def test_both_streams_come_out_in_the_order_in_which_they_went_in(
    minirt: Minirt, image: str
) -> None:
    script = "for i in 1 2 3; do echo o$i; sleep 0.2; echo e$i >&2; sleep 0.2; done"
    minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", script)
    shown = shell("sh", "-c", '"$@" 2>&1', "sh", *minirt_words("logs", "one")).stdout
    assert shown.split() == ["o1", "e1", "o2", "e2", "o3", "e3"]
