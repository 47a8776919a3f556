"""How Go sees values: their types, how they print, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirt.container.templates.structs import Nil, Struct
from minirt.errors import InvalidRequest


class OpenMap(dict[str, Any]):
    """A map whose keys are anybody's (labels, networks): a missing one is no error."""


class Fields(dict[str, Any]):
    """A row of a list: errors name Docker's type of it."""

    go_type = "*formatter.Context"
    labels: Mapping[str, str] | None = None  # None: this is the row of heads

    def method(self, name: str) -> Any:
        """Return what can be called like a field: ``{{.Label "key"}}``; None if there is none."""
        return self.label if name == "Label" else None

    def label(self, key: str) -> str:
        """Return one label, or its key as the head of its column."""
        return key if self.labels is None else self.labels.get(key, "")


def utf8(value: str) -> bytes:
    """Return a text as Go keeps it; what is no Unicode (os.fsdecode has it) counts too."""
    return value.encode(errors="surrogatepass")


def syntax_error(template: str, position: int, what: str) -> InvalidRequest:
    """Say that ``template`` can't be read."""
    line = template.count("\n", 0, position) + 1
    return InvalidRequest("template parsing error", f"template: :{line}: {what}")


def execution_error(template: str, position: int, source: str, what: str) -> InvalidRequest:
    """Say that ``template`` doesn't fit the data, in the words of Go's text/template."""
    line = template.count("\n", 0, position) + 1
    column = len(utf8(template[template.rfind("\n", 0, position) + 1 : position]))
    return InvalidRequest(
        "template parsing error",
        f'template: :{line}:{column}: executing "" at <{source}>: {what}',
    )


def type_name(value: Any) -> str:
    """Return the name that Go has for the type of a value."""
    if isinstance(value, Fields):
        return value.go_type
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "func")


_TYPES: tuple[tuple[Any, str], ...] = (
    ((type(None), Nil), "nil"),
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (Mapping, "map[string]interface {}"),
    ((list, tuple), "[]interface {}"),
)


def text(value: Any) -> str:
    """Print a value as Go's ``fmt`` does with %v."""
    match value:
        case None:
            return "<nil>"
        case Nil():
            return value.shown
        case Struct():
            return f"{{{' '.join(map(text, value.every.values()))}}}"
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case Mapping():
            pairs = (f"{key}:{text(value[key])}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        case list() | tuple():
            return f"[{' '.join(map(text, value))}]"
    return str(value)


def quoted(string: str) -> str:
    r"""Write a string as Go's strconv.Quote does: in double quotes, a tab as ``\t``."""
    return f'"{"".join(map(_escaped, string))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}"


_ESCAPES = {
    **{'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f"},
    **{"\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"},
}


def printed(value: Any) -> str:
    """Print the result of an action: nothing at all is ``<no value>``."""
    return "<no value>" if value is None else text(value)


def _float(value: float) -> str:
    """Print the shortest form, with an exponent from 1e+21 on."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
