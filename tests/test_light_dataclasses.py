"""Light data classes do what the standard ones do, who also do what these cannot."""

from __future__ import annotations

import ast
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from minirt import light_dataclasses

PACKAGE = Path(light_dataclasses.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]


def made_by(module: ModuleType) -> tuple[Any, Any]:
    @module.dataclass(frozen=True, slots=True)
    class Fixed:
        first: int
        second: str = "two"
        third: Mapping[str, int] = module.field(default_factory=dict)

        def both(self) -> str:
            return f"{self.first}{self.second}"

    @module.dataclass(slots=True)
    class Loose:
        first: int = 1

    return Fixed, Loose


def outcome(ask: Callable[[], object]) -> object:
    """Return what came of it; of an error only its kind."""
    try:
        return ask()
    except (TypeError, AttributeError) as error:
        return "TypeError" if isinstance(error, TypeError) else "AttributeError"


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, fixed, loose: repr(fixed(1)).rpartition(".")[2],
        lambda m, fixed, loose: repr(fixed(third={"a": 1}, first=2)).rpartition(".")[2],
        lambda m, fixed, loose: repr(fixed(1, "x", {"b": 2})).rpartition(".")[2],
        lambda m, fixed, loose: fixed(),
        lambda m, fixed, loose: fixed(1, first=2),
        lambda m, fixed, loose: fixed(1, fourth=2),
        lambda m, fixed, loose: fixed(1, "2", {}, 4),
        lambda m, fixed, loose: fixed(1) == fixed(1, "two"),
        lambda m, fixed, loose: fixed(1) == fixed(2),
        lambda m, fixed, loose: fixed(1) == loose(1),
        lambda m, fixed, loose: fixed(1).third is fixed(1).third,
        lambda m, fixed, loose: hash(fixed(1, "x", ())) == hash(fixed(1, third=(), second="x")),
        lambda m, fixed, loose: hash(fixed(1)),
        lambda m, fixed, loose: hash(loose(1)),
        lambda m, fixed, loose: setattr(fixed(1), "first", 2),
        lambda m, fixed, loose: delattr(fixed(1), "first"),
        lambda m, fixed, loose: setattr(loose(1), "first", 2),
        lambda m, fixed, loose: fixed(1).both(),
        lambda m, fixed, loose: repr(m.replace(fixed(1, "x"), first=3)).rpartition(".")[2],
        lambda m, fixed, loose: m.replace(fixed(1), fourth=3),
        lambda m, fixed, loose: list(m.asdict(fixed(first=1, third={"a": 1}, second="")).items()),
    ],
)
def test_light_classes_do_what_the_standard_ones_do(ask: Callable[..., object]) -> None:
    light, standard = (
        outcome(lambda module=module: ask(module, *made_by(module)))  # type: ignore[misc]
        for module in (light_dataclasses, dataclasses)
    )
    assert light == standard


class Plain:
    pass


def others_made_by(module: ModuleType) -> tuple[Any, Any]:
    """As minirt rarely has them, and as only others' modules do."""

    @module.dataclass(slots=True, eq=False)
    class Odd:
        first: list[int] = module.field(default=())
        second: int = 0

        def __post_init__(self) -> None:
            self.second += 1

    @module.dataclass
    class Others:
        first: list[int] = module.field(default_factory=list)
        second: int = module.field(default=3, repr=False)
        third: int = 4

    return Odd, Others


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, odd, others: (odd().first, odd().second, odd(second=5).second),
        lambda m, odd, others: odd() == odd(),
        lambda m, odd, others: len({odd(), odd()}),
        lambda m, odd, others: [one.name for one in m.fields(odd)],
        lambda m, odd, others: [one.name for one in m.fields(odd())],
        lambda m, odd, others: repr(others()).rpartition(".")[2],
        lambda m, odd, others: others() == others(first=[]),
        lambda m, odd, others: others().first is others().first,
        lambda m, odd, others: [one.name for one in m.fields(others(third=1))],
        lambda m, odd, others: m.replace(others(), third=9).third,
        lambda m, odd, others: m.asdict(odd([{"a": others((1, odd()))}])),
        lambda m, odd, others: m.is_dataclass(odd) and m.is_dataclass(others),
        lambda m, odd, others: m.is_dataclass(Plain),
        lambda m, odd, others: repr(m.dataclass(frozen=True, slots=True)(type("E", (), {}))()),
        lambda m, odd, others: m.no_such_thing,
    ],
)
def test_what_they_cannot_the_standard_ones_do(ask: Callable[..., object]) -> None:
    light, standard = (
        outcome(lambda module=module: ask(module, *others_made_by(module)))  # type: ignore[misc]
        for module in (light_dataclasses, dataclasses)
    )
    assert light == standard


@light_dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    first: int = 1
    second: list[int] = light_dataclasses.field(default_factory=list)


def test_they_can_be_pickled() -> None:
    kept = light_dataclasses.replace(Kept(), second=[2])
    again = pickle.loads(pickle.dumps(kept))
    assert (again, again.second) == (kept, [2])


def beyond_light_classes(path: Path) -> Iterator[str]:
    """Yield what a module needs of data classes that the light ones do not have."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
            for name in sorted({one.name for one in node.names} - vars(light_dataclasses).keys()):
                yield f"line {node.lineno}: imports {name}"
        if isinstance(node, ast.ClassDef):
            decorators = [ast.unparse(one) for one in node.decorator_list]
            options = [one for one in decorators if one.startswith("dataclass")]
            if any("slots=True" not in one for one in options):
                yield f"line {node.lineno}: {node.name} has no slots=True"
            if options and node.bases:
                yield f"line {node.lineno}: {node.name} has a base class"
            if options and any("ClassVar" in ast.unparse(line) for line in node.body):
                yield f"line {node.lineno}: {node.name} has a ClassVar"


def test_minirt_uses_nothing_else() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}, {what}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for what in beyond_light_classes(path)
    ]
    assert not found, "\n".join(found)


def test_use_beyond_light_classes_is_found(tmp_path: Path) -> None:
    """The control for the test above."""
    module = tmp_path / "module.py"
    module.write_text(
        "from dataclasses import dataclass, make_dataclass\n"
        "@dataclass\nclass A:\n    x: int\n"
        "@dataclass(slots=True)\nclass B(A):\n    y: ClassVar[int] = 1\n"
    )
    assert list(beyond_light_classes(module)) == [
        "line 1: imports make_dataclass",
        "line 3: A has no slots=True",
        "line 6: B has a base class",
        "line 6: B has a ClassVar",
    ]


def test_all_of_minirt_can_be_imported_with_them() -> None:
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in MODULES]
    script = "import importlib; from minirt import light_dataclasses as light; light.stand_in(); "
    script += f"[importlib.import_module(one) for one in {names!r}]"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize(
    "module", ["minirt.commands.run", "minirt.oci.lifecycle", "minirt.network.resolver"]
)
def test_a_command_does_not_need_the_standard_one(module: str) -> None:
    script = f"import sys; sys.path[:0] = {[str(PACKAGE.parent), *sys.path]!r}; "
    script += "from minirt import light_dataclasses; light_dataclasses.stand_in(); "
    script += f"import {module}, dataclasses; print(dataclasses.__name__); "
    script += "print(dataclasses.make_dataclass('X', ['y'])(1).y, dataclasses.__name__)"
    command = [sys.executable, "-ISc", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = "minirt.light_dataclasses" if sys.version_info < (3, 14) else "dataclasses"
    assert done.stdout == f"{ours}\n1 {ours}\n"
