"""A JSON document, read piece by piece, that knows where it is when it complains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from minirt.errors import InvalidRequest, in_quotes

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

_UNSIGNED_64 = 1 << 64


class Place:
    """A value of the document, and its path: ``process.rlimits[0].type``.

    Each reading method raises InvalidRequest with that path for a value of another type.
    A null counts as absent: Go's encoder, which wrote most such documents, means that.
    """

    __slots__ = ("_above", "_here", "value")

    def __init__(self, value: Any, here: str | int = "", above: Place | None = None) -> None:
        self.value, self._here, self._above = value, here, above

    @property
    def path(self) -> str:
        """Return the way from the top; put together when somebody complains, which is seldom."""
        above = self._above.path if self._above else ""
        if isinstance(self._here, int):
            return f"{above}[{self._here}]"
        return f"{above}.{self._here}" if above else self._here

    def has(self, key: str) -> bool:
        """Say whether the object here has the key."""
        return isinstance(self.value, Mapping) and self.value.get(key) is not None

    def get(self, key: str) -> Place:
        """Go to the value of a key; absent is the value None."""
        return Place(self.object().get(key), key, self)

    def refuse(self, why: str) -> NoReturn:
        """Say that this place is wrong."""
        raise InvalidRequest("This config.json cannot be obeyed", f"{self.path or 'it'} {why}")

    def object(self) -> Mapping[str, Any]:
        """Read an object; an absent one is empty."""
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            self.refuse("is not an object")
        return self.value

    def text(self, default: str | None = None) -> str:
        """Read a string that a system call can take. Without ``default`` it must be there."""
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, str):
            self.refuse("is missing" if self.value is None else "is not a string")
        if "\0" in self.value:
            self.refuse("has a zero byte in it")
        try:
            self.value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self.refuse("is not text")
        return self.value

    def absolute(self) -> str:
        """Read an absolute path."""
        text = self.text()
        if not text.startswith("/"):
            self.refuse(f"is {in_quotes(text)}, not an absolute path")
        return text

    def one_of(self, words: Mapping[str, T]) -> T:
        """Read a word with a meaning."""
        text = self.text()
        if text not in words:
            self.refuse(f"is {in_quotes(text)}, not one of {', '.join(words)}")
        return words[text]

    def number(self, default: int | None = None, low: int = 0, high: int = _UNSIGNED_64 - 1) -> int:
        """Read an integer between ``low`` and ``high``."""
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.refuse("is missing" if self.value is None else "is not a whole number")
        if not low <= self.value <= high:
            self.refuse(f"is {self.value}, not between {low} and {high}")
        return self.value

    def truth(self) -> bool:
        """Read a boolean; absent is false."""
        if self.value is None:
            return False
        if not isinstance(self.value, bool):
            self.refuse("is neither true nor false")
        return self.value

    def items(self) -> Iterator[Place]:
        """Read a list; an absent one is empty."""
        if self.value is None:
            return
        if not isinstance(self.value, list | tuple):
            self.refuse("is not a list")
        for number, one in enumerate(self.value):
            yield Place(one, number, self)

    def texts(self) -> tuple[str, ...]:
        """Read a list of strings."""
        return tuple(one.text() for one in self.items())

    def each(self, read: Callable[[Place], T]) -> tuple[T, ...]:
        """Read a list of things."""
        return tuple(read(one) for one in self.items())

    def mapping(self) -> dict[str, str]:
        """Read an object whose values are strings."""
        return {key: self.get(key).text() for key in self.object()}
