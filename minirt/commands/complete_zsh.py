"""Completion for zsh (zshcompsys(1))."""

from __future__ import annotations

from minirt.commands.complete_cases import fill
from minirt.commands.complete_words import Verb, quoted

SCRIPT = r"""#compdef minirt
# minirt's completion for zsh:  source <(minirt completion zsh)

@LIST@
_minirt_names() {
    [[ $1 == files || $1 == volumes ]] && _files
    compadd -- ${(f)"$(_minirt_list $1 2> /dev/null)"}
}

_minirt() {
    local verb="" ends=yes kind="" word
    local -a call options valued kinds choices
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
    "") options=(--root --runroot --explain --version --help) valued=(--root --runroot) @TOP@ ;;
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
        choices=()
        case "$verb $prev" in
@VALUES@
        " --root"|" --runroot") kind=files ;;
        esac
        if [[ -n $kind ]]; then _minirt_names $kind; else compadd -- $choices; fi
    elif [[ $PREFIX == -* ]]; then
        [[ $ends == yes || $position == 0 ]] && _describe option options
    elif (( $#choices )); then
        _describe verb choices
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
    return fill(SCRIPT, verbs, _described)


def _described(word: str, line: str) -> str:
    return quoted(f"{word}:{line}".replace("\\", "\\\\"))
