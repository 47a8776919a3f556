"""Completion for bash (bash(1), "Programmable Completion")."""

from __future__ import annotations

from minirt.commands.complete_words import QUESTIONS, SHELLS, Option, Verb, quoted
from minirt.commands.verbs import GROUPS, VERBS

SCRIPT = r"""# minirt's completion for bash:  source <(minirt completion bash)

_minirt_names() {
    case "$1" in
@QUESTIONS@
    shells) echo @SHELLS@ ;;
    esac
}

_minirt() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local verb="" options="" valued="" kinds="" choices="" ends=yes i word
    local -a call=("${COMP_WORDS[0]}")
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --root | --runroot) call+=("$word" "${COMP_WORDS[++i]}") ;;
        -*) ;;
        @GROUPS@) verb=$word; ((++i < COMP_CWORD)) && verb+=" ${COMP_WORDS[i++]}"; break ;;
        *) verb=$word; ((i++)); break ;;
        esac
    done
    case $verb in
    "") options="--root --runroot --explain --version --help" choices="@VERBS@" ;;
@CASES@
    esac
    local position=0 kind=""
    for (( ; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case " $valued " in *" $word "*) ((i++)); continue ;; esac
        [[ $word == -* ]] || ((position++))
    done
    case " $valued " in
    *" $prev "*)
        case "$verb $prev" in
@VALUES@
        --root | --runroot) kind=files ;;
        *) return ;;
        esac ;;
    *)
        local -a each=($kinds)
        if ((position < ${#each[@]})); then
            kind=${each[position]}
        elif [[ $ends == yes && ${#each[@]} -gt 0 ]]; then
            kind=${each[-1]}
        elif [[ ${#each[@]} -gt 0 ]]; then
            kind=files
        fi ;;
    esac
    if [[ $cur == -* && ($position == 0 || $ends == yes) ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
    elif [[ $kind == files ]]; then
        compopt -o default 2> /dev/null
    else
        [[ -n $kind && $kind != words ]] && choices=$(_minirt_names "$kind" 2> /dev/null)
        COMPREPLY=($(compgen -W "$choices" -- "$cur"))
        [[ $kind == volumes && $cur == */* ]] && compopt -o default 2> /dev/null
    fi
    return 0
}

complete -F _minirt minirt
"""


def script(verbs: list[Verb]) -> str:
    """Return the text to source."""
    questions = "\n".join(
        f"    {kind}) \"${{call[@]}}\" {words} | sed 's/:latest$//' ;;"
        for kind, words in QUESTIONS.items()
    )
    parts = {
        "@QUESTIONS@": questions,
        "@SHELLS@": " ".join(SHELLS),
        "@GROUPS@": " | ".join(GROUPS),
        "@VERBS@": " ".join(VERBS),
        "@CASES@": "\n".join([*map(_group, GROUPS), *map(_case, verbs)]),
        "@VALUES@": "\n".join(
            filter(None, (_value(verb, one) for verb in verbs for one in verb.options))
        ),
    }
    text = SCRIPT
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _group(name: str) -> str:
    return f"    {name}) options=--help choices={quoted(' '.join(GROUPS[name]))} ;;"


def _case(verb: Verb) -> str:
    options = [name for one in verb.options for name in one.names]
    valued = [name for one in verb.options if one.takes_value for name in one.names]
    ends = "" if verb.ends_there else " ends=no"
    return (
        f"    {quoted(verb.words)}) options={quoted(' '.join(options))}"
        f" valued={quoted(' '.join(valued))} kinds={quoted(' '.join(verb.arguments))}{ends} ;;"
    )


def _value(verb: Verb, option: Option) -> str:
    """Return the branch for an option whose value can be guessed."""
    if not (option.kind or option.choices):
        return ""
    patterns = " | ".join(quoted(f"{verb.words} {name}") for name in option.names)
    if option.choices:
        return f"        {patterns}) kind=words choices={quoted(' '.join(option.choices))} ;;"
    return f"        {patterns}) kind={option.kind} ;;"
