"""How the steps of all processes of a command become one story on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from minirt.kernel import steps
from minirt.kernel.steps import Step


def begin() -> Callable[[], None]:
    """Tell every step from here on, also those of children; return what ends the story."""
    steps.send_to(print_step)
    return lambda: steps.send_to(None)


def print_step(step: Step) -> None:
    """Print a step in one write(2), so that several processes can tell one story."""
    os.write(sys.stderr.fileno(), render(step).encode())


def render(step: Step) -> str:
    """Return a step as two lines: what happened, and what one would type for it."""
    outcome = "FAILED" if step.failed else f"{step.seconds * 1000:.2f} ms"
    return f"{step.actor:>8} {outcome:>9}  {step.title}\n{'':20}$ {step.command}\n"
