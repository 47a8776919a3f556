from __future__ import annotations

import json
import os
import signal

import pytest

from minirt.explain import story
from minirt.explain.shorten import shorten
from minirt.kernel import steps
from minirt.kernel.steps import Shell, Step, step

ID = "ab" * 32


def test_long_folders_become_variables_that_are_set_first() -> None:
    root = f"/run/minirt/containers/{ID}/rootfs"
    variables, short = shorten([f"mount -t proc proc {root}/proc", f"pivot_root {root} {root}"])
    assert variables == {"ROOTFS": root}
    assert short == ["mount -t proc proc $ROOTFS/proc", "pivot_root $ROOTFS $ROOTFS"]


def test_a_second_folder_of_a_kind_gets_a_variable_of_its_own() -> None:
    one, two = f"/i/layers/{ID}", f"/i/layers/{'cd' * 32}"
    variables, short = shorten([f"mount -t overlay -o lowerdir={one}:{two} overlay /x"])
    assert variables == {"LAYER": one, "LAYER2": two}
    assert short == ["mount -t overlay -o lowerdir=$LAYER:$LAYER2 overlay /x"]


def test_what_is_quoted_stays_since_a_shell_would_not_look_into_it() -> None:
    command = f"sh -c 'echo 1 > /sys/fs/cgroup/{ID}/x'"
    assert shorten([command]) == ({}, [command])


def test_the_namespaces_of_an_init_that_the_story_starts_are_named_by_it() -> None:
    commands = ["unshare --net sleep infinity & INIT=$!", "nsenter --net=/proc/21/ns/net ip a"]
    assert shorten(commands)[1][1] == "nsenter --net=/proc/$INIT/ns/net ip a"
    assert shorten(commands[1:])[1] == commands[1:]


def test_a_story_is_told_in_the_order_in_which_its_steps_began() -> None:
    late = Step("init", "second", "true", began=2.0, seconds=0.001)
    early = Step("command", "first", "false", began=1.0, seconds=0.001, failed=True)
    told = story.render(sorted([late, early], key=lambda one: one.began), {})
    assert told == (
        " command    FAILED  first\n"
        "                    $ false\n"
        "    init   1.00 ms  second\n"
        "                    $ true\n"
    )


def test_the_steps_of_a_child_are_part_of_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    show = story.begin()
    pid = os.fork()
    if pid == 0:
        steps.speak_as("child")
        with step("do it", "echo", Shell("$HOME"), "two words"):
            pass
        os._exit(0)
    os.waitpid(pid, 0)
    show()
    steps.fall_silent()
    assert "   child" in (told := capsys.readouterr().err)
    assert "$ echo $HOME 'two words'" in told


def test_steps_that_do_not_fit_into_the_pipe_are_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody reads the pipe meanwhile: a write that waited would wait until the alarm."""
    count = 8000  # of about 250 bytes: twice what the pipe holds

    def fail(*_: object) -> None:
        raise AssertionError("a step has waited for the reader")

    before = signal.signal(signal.SIGALRM, fail)
    show = story.begin()
    signal.alarm(30)
    try:
        for _ in range(count):
            with step("fill the pipe", "true", json.dumps("x" * 100)):
                pass
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    show()
    steps.fall_silent()
    assert 100 < capsys.readouterr().err.count("fill the pipe\n") < count
