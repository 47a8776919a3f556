"""The architecture, as a test: which package may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every imported module, also those imported inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer they reach into"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row_of(part: str) -> int:
    rows = [number for number, row in enumerate(ROWS) if part in row]
    assert rows, f"{part} has no place in the layers: see ROWS"
    return rows[0]


def parts_imported_by(path: Path) -> set[str]:
    names = [name for name in imports_of(path) if name.startswith("minirt.")]
    return {name.split(".")[1] for name in names if name != "minirt.__version__"}


@each_module
def test_imports_go_downwards(path: Path) -> None:
    importer = part_of(path)
    if importer == "__init__":
        assert parts_imported_by(path) == set()
        return
    for target in parts_imported_by(path) - {importer}:
        assert row_of(target) > row_of(importer), f"{importer} must not import {target}"
        if importer in ALONE:
            assert target in ALONE, f"{importer} must not import {target}"


@each_module
def test_every_package_has_its_homes(path: Path) -> None:
    where = str(path.relative_to(PACKAGE).with_suffix(""))
    for package in {name.split(".")[0] for name in imports_of(path)} & HOMES.keys():
        homes = HOMES[package]
        assert any(where == home or where.startswith(home) for home in homes), (
            f"{package} is at home in {', '.join(sorted(homes))}"
        )


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("kernel/**/*.py")), ids=lambda p: p.name)
def test_the_kernel_layer_does_not_know_what_it_is_used_for(path: Path) -> None:
    assert "container" not in path.read_text().lower()
