"""``create``, ``start``, ``stop``, ``kill``, ``restart``, ``rm``, ``wait``: a container's life."""

from __future__ import annotations

import time
from functools import partial

import pytest

from integration.conftest import Minirt
from integration.guests import guest, look
from integration.sandbox import minirt_words, started, wait_until
from integration.traces import Ground

pytestmark = pytest.mark.core

OBEYS = "trap 'echo bye; exit 6' TERM; echo up; while :; do sleep 0.05; done"
STATE = "{{.State.Status}} {{.State.ExitCode}}"
NONE = ("--net", "none")


def is_up(minirt: Minirt, name: str) -> None:
    """Wait until the script of a container has set its traps."""
    wait_until(lambda: "up" in minirt("logs", name).stdout, "up")


def test_created_started_ended_started_again(minirt: Minirt, image: str) -> None:
    words = (*NONE, "--name", "one", image, "sh", "-c", "echo x >> /count; cat /count; exit 3")
    made = minirt("create", *words).stdout.strip()
    assert minirt("inspect", "-f", STATE, made[:6]).stdout == "created 0\n"
    assert minirt("start", made[:12]).stdout == f"{made[:12]}\n"
    assert minirt("wait", "one").stdout == "3\n"
    assert minirt("inspect", "-f", STATE, "one").stdout == "exited 3\n"
    # Its writable layer is kept; -a shows and ends as run does.
    assert minirt("start", "-a", "one", code=3).stdout == "x\nx\n"
    assert minirt("logs", "one").stdout == "x\nx\nx\n"
    assert minirt("rm", "one").stdout == "one\n"
    assert "No such container" in minirt("start", "one", code=1).stderr


def test_stop_asks_then_kills(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", *NONE, "--name", "polite", image, "sh", "-c", OBEYS)
    minirt("run", "-d", *NONE, "--name", "deaf", image, "sleep", "1000")
    is_up(minirt, "polite")
    assert minirt("stop", "polite").stdout == "polite\n"
    assert minirt("inspect", "-f", STATE, "polite").stdout == "exited 6\n"
    before = time.monotonic()
    minirt("stop", "-t", "1", "deaf")
    assert time.monotonic() - before >= 1
    assert minirt("inspect", "-f", STATE, "deaf").stdout == "exited 137\n"
    assert minirt("stop", "deaf").stdout == "deaf\n"  # It is no error to have ended already.


def test_the_image_or_a_flag_chooses_signal_and_patience(minirt: Minirt, image: str) -> None:
    script = "trap 'exit 5' USR1; echo up; while :; do sleep 0.05; done"
    words = ("--stop-signal", "USR1", "--stop-timeout", "20", image, "sh", "-c", script)
    minirt("run", "-d", *NONE, "--name", "one", *words)
    is_up(minirt, "one")
    minirt("stop", "one")
    assert minirt("inspect", "-f", STATE, "one").stdout == "exited 5\n"


def test_kill_sends_any_signal(minirt: Minirt, image: str) -> None:
    script = "trap 'echo hup' HUP; trap 'exit 5' USR2; echo up; while :; do sleep 0.05; done"
    minirt("run", "-d", *NONE, "--name", "one", image, "sh", "-c", script)
    is_up(minirt, "one")
    minirt("kill", "-s", "HUP", "one")
    wait_until(lambda: "hup" in minirt("logs", "one").stdout, "the trap")
    minirt("kill", "--signal", "12", "one")
    assert minirt("wait", "one").stdout == "5\n"
    assert "not running" in minirt("kill", "one", code=1).stderr
    minirt("start", "one")
    minirt("kill", "one")
    assert minirt("inspect", "-f", STATE, "one").stdout == "exited 137\n"
    assert "Invalid signal: NOSIG" in minirt("kill", "-s", "NOSIG", "one", code=1).stderr


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_several_are_asked_to_end_at_once(minirt: Minirt, image: str, verb: str) -> None:
    """Each of them ends only when the other has been asked, too."""
    names = ("one", "two", "three")
    asked = "trap 'touch /shared/$ME; until [ -e /shared/one -a -e /shared/two -a -e /shared/three"
    script = (
        f"{asked} ]; do sleep 0.05; done; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    )
    for name in names:
        shared = ("-e", f"ME={name}", "-v", "shared:/shared")
        minirt("run", "-d", "--name", name, "--net", "none", *shared, image, "sh", "-c", script)
    for name in names:
        wait_until(partial(has_said, minirt, name, "ready"), "its trap")
    assert minirt(verb, "-t", "600", *names).stdout.split() == [*names]
    if verb == "stop":
        codes = minirt("inspect", "-f", "{{.State.ExitCode}}", *names).stdout.split()
        assert codes == ["5", "5", "5"]
    minirt("rm", "-f", *names)
    minirt("volume", "rm", "shared")


def has_said(minirt: Minirt, name: str, word: str) -> bool:
    return word in minirt("logs", name).stdout


def test_who_is_named_twice_or_not_there_keeps_nobody(minirt: Minirt, image: str) -> None:
    for name in ("one", "two"):
        minirt("run", "-d", "--name", name, "--net", "none", image, "sleep", "1000")
    done = minirt("stop", "-t", "0", "one", "nobody", "one", "two", code=1)
    assert done.stdout.split() == ["one", "one", "two"]
    assert done.stderr.count("nobody") == 1
    again = minirt("inspect", "-f", "{{.Id}}", "two").stdout.strip()
    done = minirt("rm", "-f", "two", "one", "nobody", "two", again)
    assert done.stdout.split() == ["two", "one", "nobody", "two", again]
    assert minirt("ps", "-aq").stdout == ""


def test_of_several_arguments_one_wrong_stops_no_other(minirt: Minirt, image: str) -> None:
    for name in ("one", "two"):
        minirt("create", *NONE, "--name", name, image, "sleep", "1000")
    for verb in ("start", "stop -t 0", "restart -t 0", "kill", "wait", "rm"):
        done = minirt(*verb.split(), "one", "nothing", "two", code=1)
        said = ["137", "137"] if verb == "wait" else ["one", "two"]
        assert done.stdout.split() == said, verb
        assert done.stderr.startswith("minirt: No such container: nothing")
    assert minirt("ps", "-aq").stdout == ""


def test_shortened_ids_must_be_unique(minirt: Minirt, image: str, ground: Ground) -> None:
    ids = [minirt("create", *NONE, image, "true").stdout.strip() for _ in range(3)]
    assert minirt("rm", ids[0][:7]).stdout == f"{ids[0][:7]}\n"
    assert minirt("rm", "-f", "", code=None).stdout in ("", "\n")
    assert len(minirt("ps", "-aq").stdout.split()) == 2
    assert minirt("rm", *(one[:12] for one in ids[1:])).stdout.split() == [
        one[:12] for one in ids[1:]
    ]


def test_rm_wants_f_for_what_runs(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", *NONE, "--name", "one", image, "sleep", "1000")
    said = minirt("rm", "one", code=1).stderr
    assert "running" in said
    assert "rm -f" in said
    assert minirt("rm", "-f", "one").stdout == "one\n"
    minirt("rm", "-f", "one")  # Docker: what isn't there is no error with -f.
    assert "No such container" in minirt("rm", "one", code=1).stderr


def test_wait_is_told_the_end(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", *NONE, "--name", "one", image, "sh", "-c", OBEYS)
    is_up(minirt, "one")
    with started(*minirt_words("wait", "one", "one")) as waiting:
        minirt("stop", "one")
        assert waiting.wait(10) == 0
        assert waiting.stdout and waiting.stdout.read() == "6\n6\n"


def test_a_stopped_container_has_its_old_address_again_if_it_is_free(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "--ipv6", "net1")
    guest(minirt, "first", "--net", "net1")
    old = guest(minirt, "one", "--net", "net1").networks["net1"]
    minirt("stop", "-t", "0", "one", "first")
    minirt("start", "one")  # A lower one is free as well.
    new = look(minirt, "one").networks["net1"]
    assert (new["IPAddress"], new["GlobalIPv6Address"]) == (
        old["IPAddress"],
        old["GlobalIPv6Address"],
    )
    minirt("stop", "-t", "0", "one")
    minirt("start", "first")
    thief = guest(minirt, "thief", "--net", "net1")
    assert thief.address == old["IPAddress"]
    minirt("start", "one")
    assert look(minirt, "one").address not in (old["IPAddress"], look(minirt, "first").address)


def test_its_ports_are_free_as_soon_as_it_has_ended(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", "-p", "8080:80", image, "sleep", "100")
    for _ in range(20):
        minirt("restart", "-t", "0", "one")
    minirt("rm", "-f", "one")
    for _ in range(5):
        minirt("run", "--rm", "--name", "one", "-p", "8080:80", image, "true")


def test_restart_keeps_what_was_written_and_the_address(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    script = "echo x >> /count; cat /count; " + OBEYS
    words = ("--net", "net1", "--name")
    for name in ("one", "two"):
        minirt("run", "-d", *words, name, image, "sh", "-c", script)
        is_up(minirt, name)
    where = ("inspect", "-f", "{{.NetworkSettings.Networks.net1.IPAddress}}")
    first, second = minirt(*where, "one").stdout, minirt(*where, "two").stdout
    minirt("restart", "two")
    wait_until(lambda: minirt("logs", "two").stdout.count("x") == 3, "two more lines")
    assert minirt(*where, "two").stdout == second
    # The old address is free meanwhile, and the old holder gets it back if it still is.
    minirt("stop", "one", "two")
    minirt("start", "two", "one")
    assert (minirt(*where, "one").stdout, minirt(*where, "two").stdout) == (first, second)
    minirt("stop", "two")
    minirt("run", "-d", *words, "three", image, "sleep", "1000")
    assert minirt(*where, "three").stdout == second
    minirt("start", "two")
    assert minirt(*where, "two").stdout not in (first, second)


def test_an_end_leaves_nothing_but_the_record(minirt: Minirt, image: str, ground: Ground) -> None:
    made = minirt("create", "--name", "one", image, "true").stdout.strip()
    minirt("start", "-a", "one")
    assert list((ground.run / "containers").iterdir()) == []
    kept = {one.name for one in (ground.root / "containers" / made).iterdir()}
    assert {"record.json", "last.json", "log", "upper", "work"} <= kept


@pytest.mark.parametrize("mode", ["rm", "prune", "run"])
def test_what_a_killed_maker_left_is_swept(
    minirt: Minirt, image: str, ground: Ground, mode: str
) -> None:
    """Folders whose record was never written, a name without a container."""
    lost = "f" * 64
    (ground.root / "containers" / lost).mkdir(parents=True)
    (ground.root / "containers" / lost / ".record.json.77").write_text("{")
    (ground.run / "containers" / lost).mkdir(parents=True)
    (ground.root / "names").mkdir()
    (ground.root / "names" / "one").symlink_to(lost)
    assert minirt("ps", "-aq").stdout == ""
    assert "No such" in minirt("inspect", "one", code=1).stderr
    sweeping = {"rm": ("rm", "-f", "one"), "prune": ("prune", "-f")}
    minirt(*sweeping.get(mode, ("run", "--rm", "--name", "one", image, "true")))
    folders = [ground.root / "containers", ground.run / "containers", ground.root / "names"]
    # What the kernel has of the new one goes after the answer.
    wait_until(lambda: not [one for folder in folders for one in folder.iterdir()], "the end")


def test_a_container_that_cannot_start_keeps_the_reason(minirt: Minirt, image: str) -> None:
    form = ("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}")
    minirt("create", "--name", "one", "--net", "none", image, "nope")
    assert minirt(*form, "one").stdout == "created 0 \n"
    said = minirt("start", "one", code=1).stderr
    assert minirt(*form, "one").stdout == f"created 127 {said.removeprefix('minirt: ')}"
    minirt("create", "--name", "two", "--net", "none", image, "/etc")
    minirt("start", "two", code=1)
    assert minirt(*form, "two").stdout.startswith("created 126 ")
    minirt("create", "--name", "three", "--net", "container:one", image, "true")
    minirt("start", "three", code=1)
    assert minirt(*form, "three").stdout.startswith("created 128 ")
    assert minirt("ps", "-a", "--format", "{{.Status}}").stdout == "Created\n" * 3


def test_a_container_with_rm_is_restarted_and_removed_at_its_end(
    minirt: Minirt, image: str
) -> None:
    run = ("run", "-d", "--rm", "--name", "one", "-v", "/data", "--net", "none", image)
    container = minirt(*run, "sleep", "1000").stdout
    minirt("exec", "one", "touch", "/data/kept", "/kept")
    for _ in range(3):
        minirt("restart", "-t", "0", "one")
        minirt("exec", "one", "ls", "/data/kept", "/kept")
    assert minirt("ps", "-q", "--no-trunc").stdout == container
    minirt("stop", "-t", "0", "one")
    assert minirt("ps", "-aq").stdout == minirt("volume", "ls", "-q").stdout == ""
