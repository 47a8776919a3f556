"""The architecture, as a test: which package may import which."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "minirt"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part may import itself and every part in a row below it. Parts in one row are strangers.
ROWS = (
    {"__main__"},
    {"server"},
    {"cli", "oci"},
    {"commands"},
    {"container", "explain"},
    {"runtime", "network", "images"},
    {"state"},
    {"errors"},
    {"kernel", "light_dataclasses"},
)
# What is for the user to read, and where minirt keeps its files, is no business of the kernel's
# layer, nor the other way round: these stand on nothing but each other.
ALONE = {"errors", "state", "light_dataclasses"}

# Each third-party package has its homes: the only places to learn its ways, or to replace it.
HOMES = {
    "click": {"cli", "commands"},
    "pyroute2": {"kernel/netlink"},
    "dnslib": {"network"},
    "prctl": {"kernel", "runtime"},
    "psutil": {"commands", "container", "kernel/sockets"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Return every imported module, also those imported inside a function."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [f"{module}.{alias.name}" for alias in node.names]
    return tuple(found)


def parts_imported_by(path: Path) -> set[str]:
    names = [name for name in imports_of(path) if name.startswith("minirt.")]
    return {name.split(".")[1] for name in names if name != "minirt.__version__"}


def offenders(paths: Sequence[Path], faults: Callable[[Path], Iterator[str]]) -> list[str]:
    assert paths, "there is nothing to look at"
    return [f"{path.relative_to(PACKAGE)} {fault}" for path in paths for fault in faults(path)]


def test_every_part_has_one_row_of_the_layers() -> None:
    parts = {part_of(path) for path in MODULES} - {"__init__"}
    rows = [part for row in ROWS for part in row]
    assert sorted(rows) == sorted(parts), "see ROWS"


def test_no_module_imports_relatively() -> None:
    """Relative imports hide the layer that they reach into."""

    def faults(path: Path) -> Iterator[str]:
        yield from (f"imports {name}" for name in imports_of(path) if name.startswith("."))

    found = offenders(MODULES, faults)
    assert not found, "\n".join(found)


def test_imports_go_downwards() -> None:
    row_of = {part: number for number, row in enumerate(ROWS) for part in row}

    def faults(path: Path) -> Iterator[str]:
        importer = part_of(path)
        for target in sorted(parts_imported_by(path) - {importer}):
            is_below = importer in row_of and row_of[target] > row_of[importer]
            if not is_below or (importer in ALONE and target not in ALONE):
                yield f"({importer}) must not import {target}"

    found = offenders(MODULES, faults)
    assert not found, "\n".join(found)


def test_third_party_packages_are_imported_in_their_homes_only() -> None:
    def faults(path: Path) -> Iterator[str]:
        where = str(path.relative_to(PACKAGE).with_suffix(""))
        for package in sorted({name.split(".")[0] for name in imports_of(path)} & HOMES.keys()):
            if not where.startswith(tuple(HOMES[package])):
                yield f"imports {package}, which is at home in {', '.join(sorted(HOMES[package]))}"

    found = offenders(MODULES, faults)
    assert not found, "\n".join(found)


def test_the_kernel_layer_does_not_know_what_it_is_used_for() -> None:
    def faults(path: Path) -> Iterator[str]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "container" in line.lower():
                yield f"names containers in line {number}"

    found = offenders(sorted(PACKAGE.glob("kernel/**/*.py")), faults)
    assert not found, "\n".join(found)
