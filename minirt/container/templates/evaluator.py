"""Lets a template print its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minirt.container.templates.functions import FUNCTIONS, Misuse
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
from minirt.container.templates.structs import Nil, Struct
from minirt.container.templates.values import Fields, OpenMap, execution_error, printed, type_name
from minirt.errors import InvalidRequest

LAZY = ("and", "or")  # They look at no more arguments than they need.


class Break(Exception):
    """Leaves a loop."""


class Continue(Exception):
    """Begins a loop's next round."""


class Evaluator:
    """One rendering: the data, the variables, and what was printed so far."""

    def __init__(self, template: str, data: Any) -> None:
        self.template, self.data = template, data
        self.variables: list[tuple[str, Any]] = [("$", data)]
        self.output: list[str] = []

    def run(self, nodes: Iterable[Node]) -> str:
        """Return what the nodes print. Raises InvalidRequest."""
        self.walk(nodes, self.data)
        return "".join(self.output)

    def walk(self, nodes: Iterable[Node], dot: Any) -> None:
        """Print nodes; variables that they declare end with them."""
        known = len(self.variables)
        for node in nodes:
            match node:
                case Text():
                    self.output.append(node.text)
                case Action():
                    value = self.pipeline(node.pipeline, dot)
                    if not node.pipeline.variables:
                        self.output.append(printed(value))
                case Jump():
                    raise Break if node.kind == "break" else Continue
                case Block(kind="range"):
                    self.range(node, dot)
                case Block():
                    self.branch(node, dot)
        del self.variables[known:]

    def branch(self, node: Block, dot: Any) -> None:
        """Print one side of ``if`` or ``with``."""
        known = len(self.variables)
        value = self.pipeline(node.pipeline, dot)
        if value:
            self.walk(node.body, value if node.kind == "with" else dot)
        else:
            self.walk(node.otherwise, dot)
        del self.variables[known:]

    def range(self, node: Block, dot: Any) -> None:
        """Print the body for each element; of a map in the order of its keys."""
        known = len(self.variables)
        bare = Pipeline(node.pipeline.commands)
        pairs = self.pairs(self.pipeline(bare, dot), node)
        for key, value in pairs:
            names = node.pipeline.variables
            new = zip(names, (key, value)[-len(names) :] if names else (), strict=True)
            for name, one in new:
                if node.pipeline.declares:
                    self.variables.append((name, one))
                else:
                    self.assign(name, one)
            try:
                self.walk(node.body, value)
            except Continue:
                pass
            except Break:
                break
            finally:
                del self.variables[known:]
        if not pairs:
            self.walk(node.otherwise, dot)

    def pairs(self, value: Any, node: Block) -> list[tuple[Any, Any]]:
        """Return what a range runs over."""
        match value:
            case None | Nil():
                return []
            case Mapping():
                return sorted(value.items())
            case list() | tuple():
                return list(enumerate(value))
            case int() if not isinstance(value, bool):
                return [(one, one) for one in range(value)]
        command = node.pipeline.commands[0]
        raise self.error(command, f"range can't iterate over {printed(value)}")

    def pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        """Return the value of a pipeline, and put it into its variable."""
        value = self.command(pipeline.commands[0], dot, ())
        for command in pipeline.commands[1:]:
            value = self.command(command, dot, (value,))
        for name in pipeline.variables:
            if pipeline.declares:
                self.variables.append((name, value))
            else:
                self.assign(name, value)
        return value

    def command(self, command: Command, dot: Any, last: tuple[Any, ...]) -> Any:
        """Return the value of a command; ``last`` is what the pipe brings."""
        first, *rest = command.words
        if isinstance(first, Function):
            return self.call(first.name, command, dot, last)
        if isinstance(first, Chain):
            arguments = (*(self.operand(one, dot) for one in rest), *last)
            return self.chain(first, dot, arguments)
        if last:
            raise self.error(command, f"can't give argument to non-function {command.source}")
        return self.operand(first, dot)

    def call(self, name: str, command: Command, dot: Any, last: tuple[Any, ...]) -> Any:
        """Call a function with the words that follow it."""
        words = command.words[1:]
        if name in LAZY and words:
            value: Any = None
            for word in words:
                value = self.operand(word, dot)
                if bool(value) == (name == "or"):
                    return value
            return FUNCTIONS[name](value, *last)
        arguments = [*(self.operand(one, dot) for one in words), *last]
        try:
            return FUNCTIONS[name](*arguments)
        except Misuse as error:
            raise self.error(command, f"error calling {name}: {error}") from None
        except (TypeError, AttributeError, ValueError, IndexError):
            types = ", ".join(map(type_name, arguments)) or "no arguments"
            raise self.error(command, f"wrong arguments for {name}: {types}") from None

    def operand(self, operand: Operand, dot: Any) -> Any:
        """Return the value of one word."""
        match operand:
            case Dot():
                return dot
            case Literal():
                return operand.value
            case Variable():
                return next(v for n, v in reversed(self.variables) if n == operand.name)
            case Chain():
                return self.chain(operand, dot, ())
            case Pipeline():
                return self.pipeline(operand, dot)
            case Function():
                bare = Command((operand,), operand.position, operand.name)
                return self.call(operand.name, bare, dot, ())

    def chain(self, chain: Chain, dot: Any, arguments: tuple[Any, ...]) -> Any:
        """Follow fields; one that is a function is called, the last with the arguments."""
        value = self.operand(chain.base, dot)
        for number, name in enumerate(chain.names, 1):
            is_last = number == len(chain.names)
            value = self.field(value, name, chain, is_last)
            if callable(value):
                value = value(*arguments) if is_last else value()
            elif is_last and arguments:
                raise self.error(chain, f"{name} has arguments but cannot be invoked as function")
        return value

    def field(self, value: Any, name: str, chain: Chain, is_last: bool) -> Any:
        """Return one field of a map."""
        if isinstance(value, Struct) and (key := value.find(name)):
            return value.every[key]
        if isinstance(value, Mapping):
            if name in value or (isinstance(value, OpenMap) and is_last):
                return value.get(name)
            if isinstance(value, Fields) and (method := value.method(name)):
                return method
            if type_name(value).startswith("*"):
                raise self.error(chain, f"can't evaluate field {name} in type {type_name(value)}")
            raise self.error(chain, f'map has no entry for key "{name}"')
        if value is None or isinstance(value, Nil):
            raise self.error(chain, f"nil pointer evaluating interface {{}}.{name}")
        raise self.error(chain, f"can't evaluate field {name} in type {type_name(value)}")

    def assign(self, name: str, value: Any) -> None:
        """Give a variable that exists another value."""
        for number in range(len(self.variables) - 1, -1, -1):
            if self.variables[number][0] == name:
                self.variables[number] = (name, value)
                return

    def error(self, at: Chain | Command, what: str) -> InvalidRequest:
        """Say where the data doesn't fit."""
        return execution_error(self.template, at.position, at.source, what)
