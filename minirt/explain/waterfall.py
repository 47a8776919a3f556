"""Where the time of a command goes: its steps and phases on one line of time."""

from __future__ import annotations

from minirt.kernel.steps import Step

WIDTH = 50  # characters for the whole of the time


def render(told: list[Step], answered: float) -> str:
    """Return one line a step or phase: when it began, how long it took, a bar, who, and what.

    They are in order. ``answered``, in seconds of the monotonic clock, is when the command was
    done for who waited for it; some may be later.
    """
    began = told[0].began if told else answered
    total = max([answered, *(one.began + one.seconds for one in told)]) - began or 1e-6
    lines = [f"{'at ms':>8} {'for ms':>7}  {'':{WIDTH}}  {'who':8} what"]
    for title, actor, start, seconds in _merged(told):
        left = min(WIDTH - 1, round((start - began) / total * WIDTH))
        length = max(1, round(seconds / total * WIDTH))
        bar = (" " * left + "#" * length)[:WIDTH]
        at, lasts = (start - began) * 1000, seconds * 1000
        lines.append(f"{at:8.1f} {lasts:7.2f}  {bar:{WIDTH}}  {actor:8} {title}")
    steps = [one.seconds for one in told if one.command]
    whole, within = (answered - began) * 1000, sum(steps) * 1000
    lines.append(f"{whole:8.1f} ms in all, {within:.1f} ms of it in {len(steps)} steps")
    return "\n".join(lines) + "\n"


def _merged(told: list[Step]) -> list[tuple[str, str, float, float]]:
    """Put steps of one kind that follow each other together."""
    merged: list[tuple[str, str, float, float]] = []
    for step in told:
        if merged:
            title, actor, start, _ = merged[-1]
            if (title, actor) == (step.title, step.actor):
                merged[-1] = (title, actor, start, step.began + step.seconds - start)
                continue
        merged.append((step.title, step.actor, step.began, step.seconds))
    return merged
