"""What was measured, as a table for the terminal and as a drawing (SVG 1.1)."""

from __future__ import annotations

import os
import platform
import re
from html import escape
from pathlib import Path
from typing import Any

from bench.rows import ROWS, Row

_BAR, _LEFT, _WIDTH = 22, 330, 820  # pixels
_COLOURS = {"minirt": "#2a7", "in-process": "#8c8", "docker": "#38c", "podman": "#a6c"}


def machine() -> dict[str, Any]:
    """Return on what was measured, without its name."""
    cpus = Path("/proc/cpuinfo").read_text()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return {
        "processor": (re.findall(r"model name\s*: (.*)", cpus) or ["?"])[0],
        "processors": os.cpu_count(),
        "GiB of memory": round(memory),
        "Python": platform.python_version(),
        "Linux": os.uname().release.partition("-")[0],
        "cgroups": "version 2" if v2 else "version 1",
        "load at the beginning": os.getloadavg()[0],
    }


def table(result: dict[str, Any]) -> str:
    """Return medians, and how many times minirt's is that of each peer, with the target."""
    names = list(result["versions"])
    peers = [name for name in names if name in ("docker", "podman")]
    lines = [f"{name}: {version}" for name, version in result["versions"].items()]
    lines += [", ".join(f"{name}: {value}" for name, value in result["machine"].items())]
    lines += [f"load at the end: {result['load at the end']:.1f}", ""]
    width = max(len(row.title) for row in ROWS) + 6
    head = "".join(f"{name:>12}" for name in names)
    head += "".join(f"{'minirt/' + name:>16}{'wanted':>8}" for name in peers)
    lines.append(f"{'':<{width}}{head}")
    for row in ROWS:
        found = result["rows"].get(row.title)
        if found is None:
            continue
        cells = "".join(f"{_number(found[name].get('median')):>12}" for name in names)
        cells += "".join(_ratio(row, found, name) for name in peers)
        lines.append(f"{row.title + ', ' + row.unit:<{width}}{cells}")
        errors = {name: one["error"] for name, one in found.items() if "error" in one}
        lines += [f"    {name} could not: {error}" for name, error in errors.items()]
    first = result["rows"].get(ROWS[0].title, {})
    alone, docker = (first.get(name, {}).get("median") for name in ("in-process", "docker"))
    if alone and docker:
        lines.append(f"{ROWS[0].title}, in-process/docker: {alone / docker:.2f}, wanted ≤0.70")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ratio(row: Row, found: dict[str, Any], peer: str) -> str:
    ours, theirs = (found.get(name, {}).get("median") for name in ("minirt", peer))
    told = f"{ours / theirs:.2f}" if ours is not None and theirs else "-"
    sign = "≥" if row.unit == "MB/s" else "≤"
    wanted = f"{sign}{row.most[peer]:.2f}" if peer in row.most else ""
    return f"{told:>16}{wanted:>8}"


def drawing(result: dict[str, Any]) -> str:
    """Return an SVG: for each row a bar for each engine, the longest as long as there is room."""
    body, y = [], 30
    for row in ROWS:
        found = result["rows"].get(row.title)
        if found is None:
            continue
        body.append(_text(10, y + 15, f"{row.title}, {row.unit}"))
        medians = {name: one["median"] for name, one in found.items() if "median" in one}
        longest = max(medians.values(), default=0) or 1
        for name, median in medians.items():
            width = max(1, round(median / longest * (_WIDTH - _LEFT - 150)))
            colour = _COLOURS.get(name, "#888")
            shape = f'x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 6}" fill="{colour}"'
            body += [f"<rect {shape}/>", _text(_LEFT + width + 5, y + 13, f"{median:.1f} {name}")]
            y += _BAR - 4
        y += 12
    machine_line = ", ".join(f"{name}: {value}" for name, value in result["machine"].items())
    top = _text(10, 18, machine_line)
    style = 'font-family="sans-serif" font-size="12"'
    size = f'width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="white"/>', top, *body, "</svg>\n"]
    )


def _text(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(words)}</text>'
