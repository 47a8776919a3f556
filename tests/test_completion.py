from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from minirt.commands import complete_bash, complete_fish, complete_words, complete_zsh
from minirt.commands.verbs import GROUPS, VERBS

NAMES = """#!/bin/sh
case "$*" in
*"ps --all"*) printf '%s\\n' web db ;;
*"ps "*) echo web ;;
*"network ls"*) printf '%s\\n' bridge net1 ;;
*"image ls"*) printf '%s\\n' busybox:latest debian:12 ;;
*"volume ls"*) echo "data" ;;
esac
"""
SCRIPTS = {"bash": complete_bash, "zsh": complete_zsh, "fish": complete_fish}


def test_every_verb_has_its_options_and_its_line_of_help() -> None:
    known = {verb.words: verb for verb in complete_words.verbs()}
    expected = {name for name in VERBS if name not in GROUPS}
    expected |= {f"{group} {name}" for group, inner in GROUPS.items() for name in inner}
    assert known.keys() == expected
    assert {"-d", "--detach"} in [set(one.names) for one in known["run"].options]
    assert all(verb.help for verb in known.values())


def test_tables_name_only_verbs_and_options_that_there_are() -> None:
    verbs = complete_words.verbs()
    assert complete_words.ARGUMENTS.keys() <= {verb.words for verb in verbs}
    assert set(complete_words.FIRST_ONLY) <= {verb.words for verb in verbs}
    names = {name for verb in verbs for one in verb.options for name in one.names}
    assert complete_words.VALUES.keys() <= names | {"--root", "--runroot"}


@pytest.mark.parametrize("shell", complete_words.SHELLS)
def test_each_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    text = SCRIPTS[shell].script(complete_words.verbs())
    assert "@" not in text.replace("$@", "").replace("[@]", "").replace('"$@"', "")
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


# How each is asked: the first word to follow is the script, the others are what was typed.
ASK = {
    "bash": (
        "bash",
        "-c",
        """source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _minirt
        echo "${COMPREPLY[@]}" """,
        "bash",
    ),
    # Only an interactive zsh completes: its functions are stood in for.
    "zsh": (
        "zsh",
        "-fc",
        """compdef() { : }; _files() { : }
        compadd() { shift; print -r -- ${(M)@:#$PREFIX*} }
        _describe() { compadd -- ${${(P)2}%%:*} }
        source $1; shift; words=("$@") CURRENT=$#; PREFIX=${@[-1]}; _minirt""",
        "zsh",
    ),
    "fish": (
        "fish",
        "--no-config",
        "-c",
        r"""source $argv[1]; complete -C "$argv[2..]" | string replace -r '\t.*' ''""",
    ),
}


@pytest.mark.parametrize("shell", complete_words.SHELLS)
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("minirt re", "restart rename"),
        ("minirt --root /x vol", "volume"),
        ("minirt network ", " ".join(GROUPS["network"])),
        ("minirt run --net ", "bridge net1"),
        ("minirt run --rm --net net1 ", "busybox debian:12"),
        ("minirt run --read-o", "--read-only"),
        ("minirt run busybox --read", ""),
        ("minirt run --name ", ""),
        ("minirt run -v ", "data"),
        ("minirt stop ", "web"),
        ("minirt rm web ", "web db"),
        ("minirt rm --fo", "--force"),
        ("minirt network connect ", "bridge net1"),
        ("minirt network connect net1 ", "web db"),
        ("minirt inspect --type ", "container image network volume"),
        ("minirt completion ", "bash zsh fish"),
    ],
)
def test_each_shell_offers_what_fits(shell: str, typed: str, offered: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    stub = tmp_path / "minirt"
    stub.write_text(NAMES)
    stub.chmod(0o755)
    (tmp_path / "script").write_text(SCRIPTS[shell].script(complete_words.verbs()))
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*ASK[shell], tmp_path / "script", *typed.split(" ")],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        cwd=tmp_path / "empty",
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    assert sorted(done.stdout.split()) == sorted(offered.split())
