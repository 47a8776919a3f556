"""Flags in the forms that Docker's commands take, rewritten into those that click takes.

    --rm=true   --rm=0   -i=false   -it=false     a boolean flag with a value
    -e=A=1                                        a short flag and its value, with "="

Docker reads its flags with pflag (https://github.com/spf13/pflag#command-line-flag-syntax),
and boolean values with strconv.ParseBool of Go.
"""

from __future__ import annotations

import click

VALUES = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def rewritten(command: click.Command, words: list[str]) -> list[str]:
    """Return the words of a command line in click's forms; those after the flags are kept.

    Of a flag that is given several times the last counts. Raises UsageError for a value that is
    not boolean.
    """
    if not any(word[:1] == "-" and "=" in word for word in words):
        return words
    return _Rewriting(command).of(words)


class _Rewriting:
    """The words of one command line, as far as they are read."""

    def __init__(self, command: click.Command) -> None:
        self._command = command
        options = [one for one in command.params if isinstance(one, click.Option)]
        self._flags = {text: one for one in options for text in (*one.opts, *one.secondary_opts)}
        self._done: list[tuple[str, click.Option | None]] = []  # words, and the flags they set

    def of(self, words: list[str]) -> list[str]:
        """Return the words in click's forms."""
        interspersed = self._command.context_settings.get("allow_interspersed_args", True)
        if isinstance(self._command, click.Group):
            interspersed = False  # What follows the name of a command is read by that command.
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--" or (not interspersed and (word[:1] != "-" or word == "-")):
                return [*self._so_far(), word, *rest]
            if word[:2] == "--":
                self._read_long(word, rest)
            elif word[:1] == "-" and len(word) > 1:
                self._read_short(word, rest)
            else:
                self._append(word)
        return self._so_far()

    def _so_far(self) -> list[str]:
        return [word for word, _ in self._done]

    def _append(self, word: str, option: click.Option | None = None) -> None:
        self._done.append((word, option))

    def _read_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        option = self._flags.get(name)
        if option is not None and option.is_flag and equals:
            self._set(option, name, value)
        elif option is None or option.is_flag:
            self._append(word, option)
        else:
            self._append(word)
            if not equals and rest:
                self._append(rest.pop(0))

    def _read_short(self, word: str, rest: list[str]) -> None:
        """Read flags of one letter in one word: "-it=false" is "-i" and "-t=false"."""
        if not set(word[1:].partition("=")[0]) <= {name[1:] for name in self._flags}:
            self._append(word)
            return
        for position, letter in enumerate(word[1:], 1):
            option, following = self._flags[f"-{letter}"], word[position + 1 :]
            value = following[1:] if following[:1] == "=" and len(following) > 1 else None
            if option.is_flag and value is None:
                self._append(f"-{letter}", option)
            elif option.is_flag:
                assert value is not None
                self._set(option, f"-{letter}", value)
                return
            else:
                self._append(f"-{letter}")
                if value is not None or following:
                    self._append(following if value is None else value)
                elif rest:
                    self._append(rest.pop(0))
                return

    def _set(self, option: click.Option, name: str, value: str) -> None:
        """Write a boolean flag as click takes it: with its name, or without any word."""
        if value not in VALUES:
            names = ", ".join(sorted(option.opts, key=len))
            why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            what = f'invalid argument "{value}" for "{names}" flag: {why}'
            raise click.BadOptionUsage(name, what)
        if VALUES[value] != (name in option.secondary_opts):
            self._append(option.opts[0], option)
        elif option.secondary_opts:
            self._append(option.secondary_opts[0], option)
        else:
            self._done = [one for one in self._done if one[1] is not option]
