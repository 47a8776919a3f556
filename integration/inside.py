"""Shell lines inside of a container: a new one, and one that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Minirt

QUIET = ("run", "--rm", "--net", "none")
Inside = Callable[..., str]


@pytest.fixture(params=["run", "exec"])
def inside(request: pytest.FixtureRequest, minirt: Minirt, image: str) -> Iterator[Inside]:
    """Return a function that runs a shell line in a new container, or in a running one."""

    def run(line: str, *flags: object, code: int | None = 0) -> str:
        done = minirt(*QUIET, *flags, image, "sh", "-c", line, code=code)
        return done.stdout + done.stderr

    def execute(line: str, *flags: object, code: int | None = 0) -> str:
        minirt("run", "-d", "--net", "none", "--name", "one-more", *flags, image, "sleep", "1000")
        done = minirt("exec", "one-more", "sh", "-c", line, code=code)
        minirt("rm", "-f", "one-more")
        return done.stdout + done.stderr

    yield run if request.param == "run" else execute
