"""Completion for zsh (zshcompsys(1))."""

from __future__ import annotations

from minirt.commands.complete_words import QUESTIONS, SHELLS, Option, Verb, quoted
from minirt.commands.verbs import GROUPS, VERBS

SCRIPT = r"""#compdef minirt
# minirt's completion for zsh:  source <(minirt completion zsh)

_minirt_names() {
    case $1 in
@QUESTIONS@
    shells) compadd -- @SHELLS@ ;;
    files) _files ;;
    esac
}

_minirt() {
    local verb="" ends=yes word
    local -a call options valued kinds verbs
    integer i position=0
    call=($words[1])
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
        --root|--runroot) call+=($word $words[++i]) ;;
        -*) ;;
        @GROUPS@) verb=$word; ((++i < CURRENT)) && verb+=" $words[i++]"; break ;;
        *) verb=$word; ((i++)); break ;;
        esac
    done
    case $verb in
    "")
        options=(--root --runroot --explain --version --help)
        verbs=(@VERBS@) ;;
@CASES@
    esac
    for (( ; i < CURRENT; i++)); do
        word=$words[i]
        if (( ${valued[(Ie)$word]} )); then
            ((i++))
        elif [[ $word != -* ]]; then
            ((position++))
        fi
    done
    local prev=$words[CURRENT-1]
    if (( ${valued[(Ie)$prev]} )); then
        case "$verb $prev" in
@VALUES@
        esac
        return
    fi
    if [[ $PREFIX == -* ]]; then
        [[ $ends == yes || $position == 0 ]] && _describe option options
    elif (( $#verbs )); then
        _describe verb verbs
    elif (( position < $#kinds )); then
        _minirt_names $kinds[position+1]
    elif (( $#kinds )); then
        if [[ $ends == yes ]]; then _minirt_names $kinds[-1]; else _files; fi
    fi
}

if [[ $funcstack[1] == _minirt ]]; then _minirt "$@"; else compdef _minirt minirt; fi
"""


def script(verbs: list[Verb]) -> str:
    """Return the text to source, or to save as ``_minirt`` in a folder of ``$fpath``."""
    questions = "\n".join(
        f'    {kind}) compadd -- ${{(f)"$($call {words} 2> /dev/null)"}} ;;'
        for kind, words in QUESTIONS.items()
    )
    parts = {
        "@QUESTIONS@": questions,
        "@SHELLS@": " ".join(SHELLS),
        "@GROUPS@": "|".join(GROUPS),
        "@VERBS@": " ".join(_described(name, line) for name, line in VERBS.items()),
        "@CASES@": "\n".join([*map(_group, GROUPS), *map(_case, verbs)]),
        "@VALUES@": "\n".join(
            filter(None, (_value(verb, one) for verb in verbs for one in verb.options))
        ),
    }
    text = SCRIPT
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _described(word: str, line: str) -> str:
    return quoted(f"{word}:{line}".replace("\\", "\\\\"))


def _group(name: str) -> str:
    verbs = " ".join(_described(word, line) for word, line in GROUPS[name].items())
    return f"    {name}) options=(--help) verbs=({verbs}) ;;"


def _case(verb: Verb) -> str:
    options = " ".join(_described(name, one.help) for one in verb.options for name in one.names)
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
        return f"        {patterns}) compadd -- {' '.join(option.choices)} ;;"
    files = "; _files" if option.kind == "volumes" else ""
    return f"        {patterns}) _minirt_names {option.kind}{files} ;;"
