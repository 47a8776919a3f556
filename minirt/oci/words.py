"""The words of a command line, read as runc reads them, and where that refuses, as crun does.

Options may stand before and after the ID (``update ID --pids-limit 5``), but not where what
follows the ID is the command line of another program (exec, ps). A "--" ends them.

runc reads options with Go's package flag: one dash is as good as two, a value follows after "=" or
as the next word, and a switch takes "=true" or "=false". crun reads them with argp(3): one dash may
introduce several letters (``-td``), and a value may follow its letter at once (``-eA=1``).
(Python's argparse reads otherwise, and to import it takes longer than all of this.)
"""

from __future__ import annotations

from minirt.errors import InvalidRequest, in_quotes

_MOST_DIGITS = 19
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Option:
    """An option: its names, what its value is called ("" for a switch), whether it repeats."""

    __slots__ = ("help", "many", "names", "value")

    def __init__(self, names: str, value: str, text: str, *, many: bool = False) -> None:
        self.names = names.split()
        self.value, self.help, self.many = value, text, many

    @property
    def name(self) -> str:
        """The name under which it is asked for."""
        return self.names[0]


class Verb:
    """A verb: what it is for, its arguments, and its options. ``most`` None: any number.

    ``options_first``: the options end at the ID.
    """

    __slots__ = ("help", "least", "module", "most", "options", "options_first", "usage")

    def __init__(
        self,
        usage: str,
        text: str,
        *options: Option,
        least: int = 1,
        most: int | None = 1,
        module: str = "",
        options_first: bool = False,
    ) -> None:
        self.usage, self.help, self.options = usage, text, options
        self.least, self.most, self.module = least, most, module
        self.options_first = options_first


class Asked:
    """What was asked for: options by name, and the words after them."""

    __slots__ = ("_values", "verb", "words")

    def __init__(self, verb: str, values: dict[str, list[str]], words: list[str]) -> None:
        self.verb, self._values, self.words = verb, values, words

    @property
    def id(self) -> str:
        """The first word: of nearly all verbs the container's ID."""
        return self.words[0]

    def has(self, name: str) -> bool:
        """Say whether the option was given at all."""
        return name in self._values

    def flag(self, name: str) -> bool:
        """Return a switch."""
        return _TRUTHS[self._values.get(name, ["false"])[-1]]

    def text(self, name: str, default: str = "") -> str:
        """Return the value of an option; the last one counts."""
        return self._values.get(name, [default])[-1]

    def texts(self, name: str) -> list[str]:
        """Return the values of an option that repeats."""
        return self._values.get(name, [])

    def number(self, name: str, default: int = 0) -> int:
        """Return the value of an option as an integer. Raises InvalidRequest."""
        text = self.text(name, str(default))
        if is_number(text.removeprefix("-")):
            return int(text)
        raise InvalidRequest(f"--{name} is {in_quotes(text)}", "it is not a whole number")


def is_number(text: str) -> bool:
    """Say whether a text is digits and nothing else, and not more than 64 bits have."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def take_options(
    words: list[str], options: tuple[Option, ...], *, anywhere: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Take the options in front, or those ``anywhere``; return their values, and the other words.

    Raises InvalidRequest for an option that isn't there, or lacks its value.
    """
    known = {name: one for one in options for name in one.names}
    values: dict[str, list[str]] = {}
    waiting, others = list(words), []
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            others.append(word)
            if not anywhere:
                break
            continue
        found = _parse(word, known)
        if found is None:
            if others:  # As with runc, it may be an argument: a signal "-9" is an unknown signal.
                others.append(word)
                continue
            raise InvalidRequest(f"flag provided but not defined: {word}")
        for option, value in found:
            if value is None and not waiting:
                raise InvalidRequest(f"flag needs an argument: {word}")
            text = waiting.pop(0) if value is None else value
            if not option.value and text not in _TRUTHS:
                raise InvalidRequest(f"invalid boolean value {in_quotes(text)} for {word}")
            values.setdefault(option.name, []).append(text)
    return values, others + waiting


Parsed = list[tuple[Option, "str | None"]]  # options with their values; None: in the next word


def _parse(word: str, known: dict[str, Option]) -> Parsed | None:
    """Return the options in one word; None if it holds none."""
    name, equals, value = word.lstrip("-").partition("=")
    if name in known:
        option = known[name]
        if equals:
            return [(option, value)]
        return [(option, None if option.value else "true")]
    return None if word.startswith("--") else _parse_letters(word[1:], known)


def _parse_letters(letters: str, known: dict[str, Option]) -> Parsed | None:
    """Return the options of letters behind one dash: "-abPATH" is "-a -b PATH".

    None if one of the letters is no option.
    """
    found: Parsed = []
    for number, letter in enumerate(letters, 1):
        option = known.get(letter)
        if option is None:
            return None
        if option.value:
            return [*found, (option, letters[number:] or None)]
        found.append((option, "true"))
    return found
