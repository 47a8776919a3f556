from __future__ import annotations

from minirt.explain import waterfall
from minirt.kernel.steps import Step


def one(title: str, began: float, seconds: float, actor: str = "init") -> Step:
    return Step(actor, title, "true", began=began, seconds=seconds)


def test_each_step_has_a_bar_at_its_time() -> None:
    told = [one("first", 10.0, 0.05), one("second", 10.05, 0.05, "command")]
    lines = waterfall.render(told, 10.1).splitlines()
    assert lines[1] == "     0.0   50.00  " + "#" * 25 + " " * 25 + "  init     first"
    assert lines[2] == "    50.0   50.00  " + " " * 25 + "#" * 25 + "  command  second"
    assert lines[3] == "   100.0 ms in all, 100.0 ms of it in 2 steps"


def test_steps_of_one_kind_that_follow_each_other_are_one_line() -> None:
    told = [one("mount", 1.0, 0.01), one("mount", 1.02, 0.01), one("pivot", 1.04, 0.01)]
    lines = waterfall.render(told, 1.1).splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == ["mount", "pivot"]
    assert lines[1].split()[:2] == ["0.0", "30.00"]


def test_what_comes_after_the_answer_is_drawn_and_not_counted() -> None:
    told = [one("wait", 1.0, 0.01), Step("monitor", "take down the rest", "", 1.02, 0.0)]
    lines = waterfall.render(told, 1.01).splitlines()
    assert lines[1].split()[2] == "#" * 25
    assert lines[2].split() == ["20.0", "0.00", "#", "monitor", "take", "down", "the", "rest"]
    assert lines[3] == "    10.0 ms in all, 10.0 ms of it in 1 steps"


def test_a_command_without_steps_has_its_time() -> None:
    assert waterfall.render([], 1.0).endswith("0.0 ms in all, 0.0 ms of it in 0 steps\n")
