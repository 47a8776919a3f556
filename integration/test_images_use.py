"""Images in the hands of containers."""

from __future__ import annotations

from integration.conftest import Minirt
from minirt.images import store


def test_an_image_that_a_container_uses_stays(minirt: Minirt, image: str) -> None:
    image_id = store.find(image).id
    minirt("create", "--name", "user", "--network", "none", image, "echo", "hello")
    for reference in (image, image_id, image_id[7:19]):
        failed = minirt("image", "rm", reference, code=1)
        assert failed.stderr == (
            f"minirt: Cannot remove image {reference}: container user uses it."
            " First: minirt rm user\n"
        )
    assert minirt("image", "rm", "-f", image).stdout == "Untagged: busybox:latest\n"
    assert store.find(image_id).names == ()
    assert minirt("start", "-a", "user").stdout == "hello\n"
    minirt("rm", "user")
    assert minirt("image", "rm", image_id[:15]).stdout.startswith(f"Deleted: {image_id}\n")
    assert store.all() == []


def test_a_container_runs_as_the_image_says(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "box", "--network", "none", image)
    assert minirt("inspect", "-f", "{{.Image}}", "box").stdout.strip() == store.find(image).id
    assert minirt("image", "inspect", "-f", "{{json .Config.Cmd}}", image).stdout == "null\n"


def test_a_container_of_an_unknown_image_says_how_to_get_it(minirt: Minirt) -> None:
    failed = minirt("run", "nothing", code=125)
    assert failed.stderr.startswith("minirt: No such image: nothing.")
    assert "minirt image load -i" in failed.stderr
    assert "minirt image import" in failed.stderr
