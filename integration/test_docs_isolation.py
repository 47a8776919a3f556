"""What docs/isolation.md shows of a running container is what one shows."""

from __future__ import annotations

import pytest

from integration import transcripts
from integration.conftest import Minirt
from integration.sandbox import needs_tool
from integration.traces import Ground


@pytest.mark.slow
@needs_tool("capsh", "findmnt", "pgrep", "column", "awk")
def test_every_command_of_the_chapter_prints_what_the_chapter_says(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    names = {"/run/minirt": ground.run, "/var/lib/minirt": ground.root}
    transcripts.check("isolation.md", names, {})
