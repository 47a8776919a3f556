"""Cuts a template into text and the tokens between ``{{`` and ``}}``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from minirt.container.templates.values import syntax_error

TOKEN = re.compile(
    r"""
      (?P<string>"(?:\\.|[^"\\\n])*" | `[^`]*`)
    | (?P<char>'(?:\\.[^']*|[^'\\\n])')
    | (?P<number>[+-]?\d[\w.]*)
    | (?P<field>\.[^\W\d]\w*)
    | (?P<dot>\.)
    | (?P<variable>\$\w*)
    | (?P<word>[^\W\d]\w*)
    | (?P<mark>:=|[=|(),])
    """,
    re.VERBOSE,
)
SPACE = re.compile(r"[ \t\r\n]*")
TRIM_LEFT = re.compile(r"-[ \t\r\n]")
END = re.compile(r"([ \t\r\n]+-)?\}\}")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the template: ``kind`` is "text", "end" or a group of TOKEN."""

    kind: str
    text: str
    position: int
    glued: bool = False  # no space before it: "(x).Foo" is not "(x) .Foo"

    @property
    def end(self) -> int:
        """Return the position after it."""
        return self.position + len(self.text)


def tokens(template: str) -> list[Token]:
    """Cut ``template``; an "end" closes each action. Raises InvalidRequest."""
    found: list[Token] = []
    position, trimming = 0, False
    while True:
        start = template.find("{{", position)
        body = template[position : start if start >= 0 else None]
        offset = len(body) - len(body.lstrip(WHITE)) if trimming else 0
        inside = start + 2
        if start >= 0 and TRIM_LEFT.match(template, inside):
            body, inside = body.rstrip(WHITE), inside + 1
        if body[offset:]:
            found.append(Token("text", body[offset:], position + offset))
        if start < 0:
            return found
        position, trimming = _action(template, inside, found)


def _action(template: str, position: int, found: list[Token]) -> tuple[int, bool]:
    """Append the tokens of one action; return where it ends, and whether it trims the text."""
    space = SPACE.match(template, position)
    begin = space.end() if space else position
    if template.startswith("/*", begin):
        comment = COMMENT.match(template, begin)
        end = END.match(template, comment.end()) if comment else None
        if end is None:
            raise syntax_error(template, begin, "unclosed comment")
        return end.end(), bool(end[1])
    glued = False
    while True:
        end = END.match(template, position)
        if end:
            found.append(Token("end", "}}", end.end() - 2))
            return end.end(), bool(end[1])
        space = SPACE.match(template, position)
        if space and space.end() > position:
            position, glued = space.end(), False
            continue
        token = TOKEN.match(template, position)
        if token is None or token.lastgroup is None:
            raise _unreadable(template, position)
        found.append(Token(token.lastgroup, token[0], position, glued))
        position, glued = token.end(), True


def _unreadable(template: str, position: int) -> Exception:
    if position >= len(template):
        return syntax_error(template, position, "unclosed action")
    character = template[position]
    if character in "\"`'":
        kind = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}
        return syntax_error(template, position, f"unterminated {kind[character]}")
    return syntax_error(template, position, f'unexpected "{character}" in operand')


def unquoted(literal: str) -> str:
    """Return what a string or character of Go stands for."""
    if literal.startswith("`"):
        return literal[1:-1]
    return ESCAPE.sub(_unescaped, literal[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit() and len(code) == 3:
        return chr(int(code, 8))
    return ESCAPED.get(code, code)
