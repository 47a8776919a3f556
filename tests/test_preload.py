"""The server has imported what commands import late, or each of them would pay for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parent.parent / "minirt"
# What the server does without: seldom wanted, or large.
SELDOM = {
    "difflib",
    "gzip",
    "hashlib",
    "psutil",
    "pyroute2.netlink.rtnl.ifinfmsg",
    "subprocess",
    "urllib.parse",
}
# They are not run by children of the server.
ELSEWHERE = ("oci/", "network/resolver", "server/__main__.py", "__main__.py")
LOADED = """
import sys
from minirt.server import preload
preload.everything()
print(*sys.modules)
"""


def imported_late(path: Path) -> Iterator[str]:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (one.name for one in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module


def printed_by(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_what_is_imported_late_is_there() -> None:
    told = printed_by(LOADED)
    files = [
        one for one in TOP.rglob("*.py") if not str(one.relative_to(TOP)).startswith(ELSEWHERE)
    ]
    late = {name for path in files for name in imported_late(path)}
    assert {"pickle", "minirt.images.layers", *SELDOM} <= late
    assert late - set(told.split()) <= SELDOM  # Some Pythons import more by themselves.


def test_openssl_is_not_among_it() -> None:
    """It has 4 MB, and only images want a digest."""
    maps = printed_by(LOADED + "print(open('/proc/self/maps').read())")
    assert "libc.so" in maps
    assert "libcrypto" not in maps


def test_no_data_class_needs_the_standard_module() -> None:
    """A class with an option that the light one lacks would bring it, and 3 MB, into a server."""
    alone = "from minirt import light_dataclasses\nlight_dataclasses.stand_in()\n"
    told = printed_by(alone + LOADED + "print(light_dataclasses._found)")
    assert told.endswith("\n[]\n")
