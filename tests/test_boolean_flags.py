"""Flags with values that Docker's commands take, and click does not."""

from __future__ import annotations

import click
import pytest

from minirt import cli
from minirt.commands import boolean_flags, verbs


def parsed(verb: str, *words: str) -> dict[str, object]:
    """Return the parameters that a verb understands."""
    command = verbs.load(verb)
    context = click.Context(command, info_name=verb, **command.context_settings)
    command.parse_args(context, boolean_flags.rewritten(command, list(words)))
    return context.params


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "TRUE", "True"])
def test_a_flag_is_set_by_what_go_reads_as_true(value: str) -> None:
    assert parsed("run", f"--rm={value}", f"-i={value}", "busybox")["rm"] is True
    assert parsed("run", f"-i={value}", "busybox")["interactive"] is True


@pytest.mark.parametrize("value", ["0", "f", "F", "false", "FALSE", "False"])
def test_a_flag_is_not_set_by_what_go_reads_as_false(value: str) -> None:
    assert parsed("run", f"--rm={value}", "busybox")["rm"] is False
    assert parsed("run", f"-i={value}", "busybox")["interactive"] is False


@pytest.mark.parametrize("value", ["", "yes", "tRUE", "2", "true "])
def test_another_value_is_refused_in_dockers_words(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["ps", f"--all={value}"]) != 0
    assert (
        f'invalid argument "{value}" for "-a, --all" flag: '
        f'strconv.ParseBool: parsing "{value}": invalid syntax'
    ) in capsys.readouterr().err


def test_short_flags_may_stand_in_one_word_with_a_value() -> None:
    found = parsed("run", "-it=false", "-e=A=1", "-eB=2", "-e", "C=3", "busybox", "-t=true")
    assert (found["interactive"], found["tty"]) == (True, False)
    assert found["env"] == ("A=1", "B=2", "C=3")
    assert found["command"] == ("-t=true",)


def test_the_last_of_several_counts() -> None:
    assert parsed("run", "--rm", "--rm=false", "busybox")["rm"] is False
    assert parsed("run", "--rm=false", "--rm", "busybox")["rm"] is True
    found = parsed("run", "--name", "--rm", "--rm=false", "busybox")
    assert (found["name"], found["rm"]) == ("--rm", False)


def test_a_flag_with_an_opposite_takes_a_value() -> None:
    assert parsed("attach", "--sig-proxy=false", "web")["sig_proxy"] is False
    assert parsed("attach", "--no-sig-proxy=false", "web")["sig_proxy"] is True
    assert parsed("run", "--sig-proxy=false", "busybox")["sig_proxy"] is False


def test_values_and_what_follows_the_flags_stay_as_they_are() -> None:
    words = ["--name=a=b", "-v=/a:/b", "-w", "-i=false", "busybox", "-i=no", "--rm=no"]
    found = parsed("run", *words)
    assert (found["name"], found["volume"], found["workdir"]) == ("a=b", ("/a:/b",), "-i=false")
    assert found["command"] == ("-i=no", "--rm=no")
    assert parsed("top", "web", "-o=pid", "aux")["options"] == ("-o=pid", "aux")


def test_every_boolean_flag_of_every_command_takes_a_value() -> None:
    seen = 0
    for group, names in {"": verbs.VERBS, **verbs.GROUPS}.items():
        for name in names.keys() - verbs.GROUPS.keys():
            command = verbs.load(name, group)
            for option in command.params:
                if isinstance(option, click.Option) and option.is_flag:
                    for text in option.opts:
                        assert boolean_flags.rewritten(command, [f"{text}=true"]) == [
                            option.opts[0]
                        ]
                        assert "=" not in "".join(
                            boolean_flags.rewritten(command, [f"{text}=false"])
                        )
                        seen += 1
    assert seen > 50


def test_the_flags_before_the_command_take_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--explain=false", "version", "-f=x"]) == 0
    assert capsys.readouterr().out == "x\n"
