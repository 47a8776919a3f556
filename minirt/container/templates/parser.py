"""Reads the tokens of a template into nodes, with Go's sentences for what it can't read."""

from __future__ import annotations

import re
from functools import lru_cache

from minirt.container.templates.functions import FUNCTIONS
from minirt.container.templates.lexer import Token, tokens, unquoted
from minirt.container.templates.nodes import (
    Action,
    Block,
    Chain,
    Command,
    Dot,
    Function,
    Jump,
    Literal,
    Node,
    Operand,
    Pipeline,
    Text,
    Variable,
)
from minirt.container.templates.values import syntax_error
from minirt.errors import InvalidRequest

BLOCKS = ("if", "with", "range")
JUMPS = ("break", "continue")
NOT_HERE = ("define", "template", "block")
CONSTANTS = {"true": True, "false": False, "nil": None}
FLOAT = re.compile(r"[+-]?\d+(\.\d*([eE][+-]?\d+)?|[eE][+-]?\d+)")


@lru_cache(maxsize=8)
def parse(template: str) -> tuple[Node, ...]:
    """Read a template. Raises InvalidRequest."""
    parser = Parser(template)
    nodes, ending = parser.nodes()
    if ending:
        raise parser.error(f"unexpected {{{{{ending}}}}}")
    return nodes


class Parser:
    """A template, and how far it was read."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.tokens = tokens(template)
        self.at = 0
        self.variables = ["$"]  # those that may be used here
        self.loops = 0

    def nodes(self) -> tuple[tuple[Node, ...], str]:
        """Read up to ``{{end}}`` or ``{{else``; return the nodes and that word."""
        found: list[Node] = []
        known = len(self.variables)
        while self.at < len(self.tokens):
            token = self.next()
            if token.kind == "text":
                found.append(Text(token.text))
            elif token.text in ("end", "else"):
                del self.variables[known:]
                if token.text == "end":
                    self.expect_end("end")
                return tuple(found), token.text
            elif token.kind == "word" and token.text in BLOCKS:
                found.append(self.block(token.text))
            elif token.text in JUMPS:
                found.append(self.jump(token.text))
            elif token.text in NOT_HERE:
                raise self.error(f"{{{{{token.text}}}}} is not supported by minirt")
            else:
                self.at -= 1
                found.append(Action(self.pipeline("command")))
                self.expect_end("command")
        return tuple(found), ""

    def block(self, kind: str) -> Block:
        """Read an ``if``, ``with`` or ``range`` up to its ``end``."""
        known = len(self.variables)
        pipeline = self.pipeline(kind)
        self.expect_end(kind)
        self.loops += kind == "range"
        body, ending = self.nodes()
        self.loops -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if ending == "else":
            word = self.peek().text if self.at < len(self.tokens) else ""
            if word in ("if", "with") and word == kind:
                self.at += 1
                otherwise, ending = (self.block(word),), "end"
            else:
                self.expect_end("else")
                otherwise, ending = self.nodes()
        if ending != "end":
            raise self.error(f"unexpected {{{{{ending}}}}}" if ending else "unexpected EOF")
        del self.variables[known:]
        return Block(kind, pipeline, body, otherwise)

    def jump(self, kind: str) -> Jump:
        """Read ``break`` or ``continue``."""
        if not self.loops:
            raise self.error(f"{{{{{kind}}}}} outside {{{{range}}}}")
        self.expect_end(kind)
        return Jump(kind)

    def pipeline(self, context: str) -> Pipeline:
        """Read commands between ``|``, and the variables that take their result."""
        variables, declares = self.declaration(context)
        commands = [self.command(context)]
        while self.peek().text == "|":
            self.at += 1
            commands.append(self.command(context))
        for command in commands[1:]:
            if isinstance(command.words[0], Dot | Literal):
                what = f"non executable command in pipeline stage {commands.index(command) + 1}"
                raise self.error(what)
        if declares:
            self.variables.extend(variables)
        return Pipeline(tuple(commands), variables, declares)

    def declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """Read ``$x :=``, ``$x =`` or, in a range, ``$k, $v :=``; () if there is none."""
        start, names = self.at, []
        while self.peek().kind == "variable":
            names.append(self.next().text)
            mark = self.next().text
            if mark in (":=", "="):
                if len(names) > (2 if context == "range" else 1):
                    raise self.error(f"too many declarations in {context}")
                return tuple(names), mark == ":="
            if mark != ",":
                break
        self.at = start
        return (), True

    def command(self, context: str) -> Command:
        """Read an operand, or a function and its arguments."""
        first = self.peek()
        words: list[Operand] = []
        while self.peek().kind != "end" and self.peek().text not in ("|", ")"):
            words.append(self.operand(context))
        if not words:
            raise self.error(f"missing value for {context}")
        last = self.tokens[self.at - 1]
        if len(words) > 1 and not isinstance(words[0], Function | Chain):
            raise self.error(f"can't give argument to non-function {first.text}")
        return Command(tuple(words), first.position, self.template[first.position : last.end])

    def operand(self, context: str) -> Operand:
        """Read one word, with the fields that are glued to it."""
        token = self.next()
        base: Operand
        match token.kind:
            case "field":
                self.at -= 1
                return self.fields(Dot(), token)
            case "dot":
                base = Dot()
            case "variable":
                if token.text not in self.variables:
                    raise self.error(f'undefined variable "{token.text}"')
                base = Variable(token.text)
            case "string":
                base = Literal(unquoted(token.text))
            case "char":
                base = Literal(ord(unquoted(token.text)))
            case "number":
                base = Literal(self.number(token.text))
            case "word":
                base = self.word(token.text, token.position)
            case _ if token.text == "(":
                base = self.pipeline("parenthesized pipeline")
                if self.next().text != ")":
                    raise self.error("unclosed left paren")
            case _:
                raise self.error(f'unexpected "{token.text}" in {context}')
        following = self.peek()
        if following.kind == "field" and following.glued and not isinstance(base, Literal):
            return self.fields(base, token)
        return base

    def fields(self, base: Operand, first: Token) -> Chain:
        """Read fields: the first may stand alone, the others are glued to it."""
        taken = [self.next()]
        while self.peek().kind == "field" and self.peek().glued:
            taken.append(self.next())
        # Go reports a chain at its second part, if there is one.
        position = taken[1].position if len(taken) > 1 else taken[0].position
        source = self.template[first.position : taken[-1].end]
        return Chain(base, tuple(one.text[1:] for one in taken), position, source)

    def word(self, name: str, position: int) -> Operand:
        """Read a constant or the name of a function."""
        if name in CONSTANTS:
            return Literal(CONSTANTS[name])
        if name not in FUNCTIONS:
            raise self.error(f'function "{name}" not defined')
        return Function(name, position)

    def number(self, text: str) -> int | float:
        """Read a number as Go writes it."""
        try:
            return (
                float(text)
                if FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit()
                else int(text, 0)
            )
        except ValueError:
            raise self.error(f'bad number syntax: "{text}"') from None

    def peek(self) -> Token:
        """Return the next token without taking it."""
        if self.at >= len(self.tokens):
            raise self.error("unexpected EOF")
        return self.tokens[self.at]

    def next(self) -> Token:
        """Take the next token."""
        token = self.peek()
        self.at += 1
        return token

    def expect_end(self, context: str) -> None:
        """Take the ``}}`` of an action."""
        token = self.next()
        if token.kind != "end":
            raise self.error(f'unexpected "{token.text}" in {context}')

    def error(self, what: str) -> InvalidRequest:
        """Say what can't be read at the token that was taken last."""
        index = max(min(self.at, len(self.tokens)) - 1, 0)
        position = self.tokens[index].position if self.tokens else 0
        return syntax_error(self.template, position, what)
