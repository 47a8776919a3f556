from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import os, subprocess, sys
from minirt.kernel import processes
if {hides}:
    processes.hide_command_line("title")
words = subprocess.run(["cat", f"/proc/{{os.getpid()}}/cmdline"], capture_output=True).stdout
print(repr(words.rstrip(b"\\0")), sys.argv[1:])
"""


@pytest.mark.parametrize("hides", [True, False], ids=["hides", "control"])
def test_a_process_that_hides_its_command_line_shows_a_title(hides: bool) -> None:
    words = (sys.executable, "-c", ASK.format(hides=hides), "very-secret")
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    shown, _, own = said.partition(" [")
    assert own == "'very-secret']\n"  # The process itself still knows.
    assert ("very-secret" in shown) != hides
    assert (shown == "b'title'") == hides
