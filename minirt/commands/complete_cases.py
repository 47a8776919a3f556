"""What the scripts for bash and zsh share: the branches of ``case`` that both understand.

Each branch sets arrays, and leaves it to its script what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable

from minirt.commands.complete_words import QUESTIONS, SHELLS, Option, Verb, quoted
from minirt.commands.verbs import GROUPS, VERBS

LIST = r"""_minirt_list() {
    case "$1" in
@QUESTIONS@
    shells) printf '%s\n' @SHELLS@ ;;
    esac
}
"""
Describe = Callable[[str, str], str]  # how a shell is told a word with its line of help


def fill(script: str, verbs: list[Verb], describe: Describe) -> str:
    """Put what is known of the verbs in the place of the marks."""
    parts = {
        "@LIST@": LIST,
        "@QUESTIONS@": "\n".join(map(_question, QUESTIONS)),
        "@SHELLS@": " ".join(SHELLS),
        "@GROUPS@": "|".join(GROUPS),
        "@TOP@": f"choices=({_described(VERBS, describe)})",
        "@CASES@": "\n".join(
            [*(_group(name, describe) for name in GROUPS), *(_case(one, describe) for one in verbs)]
        ),
        "@VALUES@": "\n".join(
            filter(None, (_value(verb, one) for verb in verbs for one in verb.options))
        ),
    }
    for mark, part in parts.items():
        script = script.replace(mark, part)
    return script


def _question(kind: str) -> str:
    return f"    {kind}) \"${{call[@]}}\" {QUESTIONS[kind]} | sed 's/:latest$//' ;;"


def _described(words: dict[str, str], describe: Describe) -> str:
    return " ".join(describe(word, line) for word, line in words.items())


def _group(name: str, describe: Describe) -> str:
    return f"    {name}) options=(--help) choices=({_described(GROUPS[name], describe)}) ;;"


def _case(verb: Verb, describe: Describe) -> str:
    options = " ".join(describe(name, one.help) for one in verb.options for name in one.names)
    valued = " ".join(name for one in verb.options if one.takes_value for name in one.names)
    ends = "" if verb.ends_there else " ends=no"
    return (
        f"    {quoted(verb.words)}) options=({options})"
        f" valued=({valued}) kinds=({' '.join(verb.arguments)}){ends} ;;"
    )


def _value(verb: Verb, option: Option) -> str:
    """Return the branch for an option whose value can be guessed."""
    if not (option.kind or option.choices):
        return ""
    patterns = "|".join(quoted(f"{verb.words} {name}") for name in option.names)
    if option.choices:
        return f"        {patterns}) choices=({' '.join(option.choices)}) ;;"
    return f"        {patterns}) kind={option.kind} ;;"
