"""What stands in for modules of Python's in minirt-oci has what is used there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from minirt.oci import light_typing

PACKAGE = Path(light_typing.__file__).parent.parent
MODULES = [path for name in ("oci", "runtime", "kernel") for path in (PACKAGE / name).rglob("*.py")]
MODULES += [PACKAGE / "state.py", PACKAGE / "errors.py"]


def test_what_modules_use_is_there() -> None:
    used = [
        (path.relative_to(PACKAGE), one.name)
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == "typing"
        for one in node.names
    ]
    assert {"Any", "TYPE_CHECKING"} <= {name for _, name in used}
    missing = [f"{path}: {name}" for path, name in used if name not in vars(light_typing)]
    assert not missing, "\n".join(missing)


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
