"""What stands in for modules of Python's in minirt-oci does the same, as far as it is used."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from minirt.oci import light_dataclasses, light_typing

PACKAGE = Path(light_dataclasses.__file__).parent.parent
MODULES = [path for name in ("oci", "runtime", "kernel") for path in (PACKAGE / name).rglob("*.py")]
MODULES += [PACKAGE / "state.py", PACKAGE / "errors.py"]


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_modules_use_is_there(path: Path) -> None:
    lights = {"dataclasses": light_dataclasses, "typing": light_typing}
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
            assert all(hasattr(lights[node.module], one.name) for one in node.names)
        if isinstance(node, ast.ClassDef) and "dataclass" in str(node.decorator_list and
                ast.unparse(node.decorator_list[0])):  # fmt: skip
            assert not node.bases
            inner = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
            assert "__post_init__" not in inner


def test_a_call_gets_the_light_ones_and_whoever_asks_for_more_the_standard_one() -> None:
    script = "import sys; from minirt.oci import lean; lean.begin(); import minirt.oci.lifecycle; "
    script += "print('inspect' in sys.modules, '_typing' in sys.modules); "
    script += "from typing import TypedDict; print(TypedDict.__module__, '_typing' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", f"import sys; sys.path.append({str(PACKAGE.parent)!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["False False", "typing True"]
