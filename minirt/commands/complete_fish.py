"""Completion for fish (complete(1) of fish)."""

from __future__ import annotations

from collections.abc import Iterator

from minirt.commands.complete_words import QUESTIONS, SHELLS, Option, Verb
from minirt.commands.verbs import GROUPS, VERBS

SCRIPT = r"""# minirt's completion for fish:  minirt completion fish | source

# Prints "VERB POSITION", the number of names after the verb; the value of an option is none.
function __minirt_place
    set -l verb ''
    set -l position 0
    set -l words (commandline -opc)[2..-1]
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        if contains -- "$verb $word" $__minirt_valued
            set -e words[1]
        else if string match -q -- '-*' $word
            continue
        else if test -z "$verb"
            set verb $word
        else if contains -- $verb @GROUPS@
            set verb "$verb $word"
        else
            set position (math $position + 1)
        end
    end
    echo $verb $position
end

function __minirt_at
    set -l place (string split ' ' -- (__minirt_place))
    test "$place[1..-2]" = "$argv[1]"
    and begin; test -z "$argv[2]"; or test $place[-1] -ge $argv[2]; end
    and begin; test -z "$argv[3]"; or test $place[-1] -le $argv[3]; end
end

function __minirt_names
    set -l call minirt
    set -l words (commandline -opc)
    for option in --root --runroot
        if set -l index (contains -i -- $option $words)
            set -a call $option $words[(math $index + 1)]
        end
    end
    switch $argv[1]
@QUESTIONS@
    end
end

"""


def script(verbs: list[Verb]) -> str:
    """Return the text to source."""
    questions = "\n".join(
        f"        case {kind}\n            $call {words} 2> /dev/null | string replace ':latest' ''"
        for kind, words in QUESTIONS.items()
    )
    valued = [
        f"{verb.words} {name}"
        for verb in verbs
        for one in verb.options
        if one.takes_value
        for name in one.names
    ]
    head = SCRIPT.replace("@QUESTIONS@", questions).replace("@GROUPS@", " ".join(GROUPS))
    known = " ".join(map(_quoted, [" --root", " --runroot", *valued]))
    lines = [f"set -g __minirt_valued {known}", "complete -c minirt -f", *_tops()]
    lines += [line for verb in verbs for line in _verb(verb)]
    return head + "\n".join(lines) + "\n"


def _tops() -> Iterator[str]:
    for option in ("explain", "version", "help"):
        yield f"complete -c minirt -n '__minirt_at \"\"' -l {option}"
    for option in ("root", "runroot"):
        yield f"complete -c minirt -n '__minirt_at \"\"' -l {option} -r -F"
    for verb, line in VERBS.items():
        yield f"complete -c minirt -n '__minirt_at \"\"' -a {verb} -d {_quoted(line)}"
    for group, inner in GROUPS.items():
        for verb, line in inner.items():
            yield f"complete -c minirt -n '__minirt_at {group}' -a {verb} -d {_quoted(line)}"


def _verb(verb: Verb) -> Iterator[str]:
    here = f'complete -c minirt -n \'__minirt_at "{verb.words}"'
    last = len(verb.arguments) - 1
    for number, kind in enumerate(verb.arguments):
        upto = "" if number == last and verb.ends_there else f" {number}"
        yield f"{here} {number}{upto}' {_answers(kind)}"
    if verb.arguments and not verb.ends_there:
        yield f"{here} {last + 1}' -F"
    for option in verb.options:
        upto = "" if verb.ends_there else " 0 0"
        yield f"{here}{upto}' {_option(option)}"


def _option(option: Option) -> str:
    names = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    words = [*names, f"-d {_quoted(option.help)}"]
    if option.takes_value:
        words.append(f"-x -a {_quoted(' '.join(option.choices))}" if option.choices else "-x")
    if option.kind:
        words[-1] = f"{_EXCLUSIVE.get(option.kind, '-x')} {_answers(option.kind)}"
    return " ".join(words)


_EXCLUSIVE = {"files": "-r", "volumes": "-r -F"}  # -v takes a folder as well


def _answers(kind: str) -> str:
    if kind == "files":
        return "-F"
    if kind == "shells":
        return f"-a {_quoted(' '.join(SHELLS))}"
    return f"-a '(__minirt_names {kind})'"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
