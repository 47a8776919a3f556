"""The words of a command line, read as runc reads them.

Options stand before the ID and end there: what comes behind it may belong to a command. One
dash is as good as two, a value follows after "=" or as the next word, and a switch takes
"=true" or "=false". That is Go's package flag, which the callers were written for. (argparse
reads otherwise, and to import it takes longer than all of this.)
"""

from __future__ import annotations

from minirt.errors import InvalidRequest

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
    """A verb: what it is for, its arguments, and its options. ``most`` None: any number."""

    __slots__ = ("help", "least", "module", "most", "options", "usage")

    def __init__(
        self,
        usage: str,
        text: str,
        *options: Option,
        least: int = 1,
        most: int | None = 1,
        module: str = "",
    ) -> None:
        self.usage, self.help, self.options = usage, text, options
        self.least, self.most, self.module = least, most, module


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
        try:
            return int(text)
        except ValueError:
            raise InvalidRequest(f"--{name} is {text!r}", "it is not a whole number") from None


def take_options(
    words: list[str], options: tuple[Option, ...]
) -> tuple[dict[str, list[str]], list[str]]:
    """Take the options in front; return their values, and the words that are left.

    Raises InvalidRequest for an option that isn't there, or lacks its value.
    """
    known = {name: one for one in options for name in one.names}
    values: dict[str, list[str]] = {}
    left = list(words)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        option = known.get(name)
        if option is None:
            raise InvalidRequest(f"flag provided but not defined: {word}")
        if option.value and not equals:
            if not left:
                raise InvalidRequest(f"flag needs an argument: {word}")
            value = left.pop(0)
        if not option.value:
            value = value if equals else "true"
            if value not in _TRUTHS:
                raise InvalidRequest(f"invalid boolean value {value!r} for {word}")
        values.setdefault(option.name, []).append(value)
    return values, left
