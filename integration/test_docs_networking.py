"""What docs/networking.md shows of a running system is what one shows."""

from __future__ import annotations

import pytest

from integration import transcripts
from integration.conftest import Minirt
from integration.sandbox import Outside, needs_tool
from integration.traces import Ground

TOOLS = ("ip", "nft", "ss", "conntrack", "iptables", "lslocks", "sysctl", "curl", "ping")


@pytest.mark.slow
@needs_tool(*TOOLS)
@transcripts.needs_tools_of_the_chapters()
def test_every_command_of_the_chapter_prints_what_the_chapter_says(
    minirt: Minirt, image: str, ground: Ground, outside: Outside
) -> None:
    names = {"/run/minirt": ground.run, "/var/lib/minirt": ground.root, "uplink": outside.link}
    transcripts.check("networking.md", names, {"neighbour": " ".join(outside.enter())})
