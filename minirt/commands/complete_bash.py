"""Completion for bash (bash(1), "Programmable Completion")."""

from __future__ import annotations

from minirt.commands.complete_cases import fill
from minirt.commands.complete_words import Verb

SCRIPT = r"""# minirt's completion for bash:  source <(minirt completion bash)

@LIST@
_minirt() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local verb="" ends=yes kind="" position=0 i word
    local -a call=("${COMP_WORDS[0]}") options=() valued=() kinds=() choices=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --root|--runroot) call+=("$word" "${COMP_WORDS[++i]}") ;;
        -*) ;;
        @GROUPS@) verb=$word; ((++i < COMP_CWORD)) && verb+=" ${COMP_WORDS[i++]}"; break ;;
        *) verb=$word; ((i++)); break ;;
        esac
    done
    case $verb in
    "") options=(--root --runroot --explain --version --help) @TOP@ ;;
@CASES@
    esac
    for (( ; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case " ${valued[*]} " in *" $word "*) ((i++)); continue ;; esac
        [[ $word == -* ]] || ((position++))
    done
    case " --root --runroot ${valued[*]} " in
    *" $prev "*)
        choices=()
        case "$verb $prev" in
@VALUES@
        " --root"|" --runroot") kind=files ;;
        esac ;;
    *)
        if [[ $cur == -* && ($position == 0 || $ends == yes) ]]; then
            choices=("${options[@]}")
        elif ((position < ${#kinds[@]})); then
            kind=${kinds[position]}
        elif [[ ${#kinds[@]} -gt 0 ]]; then
            [[ $ends == yes ]] && kind=${kinds[-1]} || kind=files
        fi ;;
    esac
    [[ $kind == files || ($kind == volumes && $cur == */*) ]] && compopt -o default 2> /dev/null
    [[ -n $kind ]] && choices=($(_minirt_list "$kind" 2> /dev/null))
    COMPREPLY=($(compgen -W "${choices[*]}" -- "$cur"))
    return 0
}

complete -F _minirt minirt
"""


def script(verbs: list[Verb]) -> str:
    """Return the text to source."""
    return fill(SCRIPT, verbs, lambda word, _line: word)
