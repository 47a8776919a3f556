"""Images in the hands of containers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from integration.archives import folder, member, oci_files, symlink, tar, written
from integration.conftest import Minirt
from integration.sandbox import REPOSITORY, shell, wait_until
from minirt.images import store

pytestmark = pytest.mark.core


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


def test_a_container_runs_as_the_image_says(minirt: Minirt, tmp_path: Path) -> None:
    busybox = tmp_path / "busybox.tar"
    shell(REPOSITORY / "rootfs-tools/busybox", busybox)
    changes: tuple[str, ...] = (
        'CMD ["who"]',
        "USER www",
        "WORKDIR /www",
        "ENV GREETING='hello there'",
    )
    changes += ('ENTRYPOINT ["sh", "-c", "id -un; pwd; echo $GREETING $0"]',)
    minirt("image", "import", busybox, "said", *(f"--change={one}" for one in changes))
    run = ("run", "--rm", "--network", "none", "said")
    assert minirt(*run).stdout.splitlines() == ["www", "/www", "hello there who"]


@pytest.mark.slow
def test_three_hundred_layers_are_one_image(minirt: Minirt, tmp_path: Path) -> None:
    busybox = Path(str(shutil.which("busybox"))).read_bytes()
    layers = [tar(folder("./"), folder("bin"), member("bin/busybox", busybox, mode=0o755))]
    layers += [
        tar(folder("d"), member(f"d/{number}"), member(f"d/.wh.{number - 2}"))
        for number in range(299)
    ]
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(layers)))
    listed = minirt("run", "--rm", "--network", "none", "made:1", "/bin/busybox", "ls", "/d")
    assert listed.stdout.split() == ["297", "298"]


def test_a_container_of_an_unknown_image_says_how_to_get_it(minirt: Minirt) -> None:
    failed = minirt("run", "nothing", code=125)
    assert failed.stderr.startswith("minirt: No such image: nothing.")
    assert "minirt image load -i" in failed.stderr
    assert "minirt image import" in failed.stderr


def test_a_health_check_that_is_not_run_is_warned_of_and_kept(
    minirt: Minirt, tmp_path: Path
) -> None:
    busybox = tmp_path / "busybox.tar"
    shell(REPOSITORY / "rootfs-tools/busybox", busybox)
    change = "HEALTHCHECK --interval=30s CMD wget -q localhost"
    minirt("image", "import", busybox, "checked", f"--change={change}", "--change=CMD true")
    warning = "WARNING: The image's HEALTHCHECK is ignored"
    form = ("inspect", "-f", "{{json .Config.Healthcheck}}")
    assert warning in minirt("create", "--name", "one", "checked").stderr
    kept = '{"Test":["CMD-SHELL","wget -q localhost"],"Interval":30000000000}'
    assert minirt(*form, "one").stdout == kept + "\n"
    assert warning in minirt("run", "--rm", "checked").stderr
    assert warning in minirt("run", "-d", "--rm", "checked").stderr
    assert minirt("create", "--no-healthcheck", "--name", "two", "checked").stderr == ""
    assert minirt(*form, "two").stdout == '{"Test":["NONE"]}\n'
    minirt("image", "import", busybox, "plain", "--change=CMD true")
    assert minirt("create", "--name", "three", "plain").stderr == ""
    assert minirt(*form, "three").stdout == "null\n"


def test_what_an_image_names_may_be_of_any_length(minirt: Minirt, tmp_path: Path) -> None:
    layer = tar(folder("./"))
    for execution in ({"Cmd": ["x"], "User": "u" * 100_000}, {"Cmd": ["x" * 200_000]}):
        files = oci_files([layer], config=execution)
        minirt("image", "load", "-i", written(tmp_path / "image.tar", files))
        said = minirt("run", "--rm", "--network", "none", "made:1", code=None)
        assert said.returncode in (125, 126)
        assert "unable to find user uuu" in said.stderr or "Cannot run xxx" in said.stderr
        assert len(said.stderr) < 10_000


@pytest.mark.parametrize(
    ("claim", "code"),
    [("USR1", 7), ("9" * 5000, 9), (f"RTMIN+{'9' * 5000}", 9), ("NOTHING", 9)],
    ids=["the control", "5000 digits", "offset of 5000 digits", "no signal"],
)
def test_container_gets_sigterm_where_its_image_names_no_signal(
    minirt: Minirt, tmp_path: Path, claim: str, code: int
) -> None:
    """As with Docker (``Container.StopSignal`` of moby): else nobody could stop it."""
    busybox = Path(shutil.which("busybox") or "").read_bytes()
    script = "trap 'exit 7' USR1; trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    config = {"StopSignal": claim, "Cmd": ["/bin/busybox", "sh", "-c", script]}
    config["Env"] = ["PATH=/bin"]
    layer = tar(
        folder("bin"),
        member("bin/busybox", busybox, mode=0o755),
        symlink("bin/sleep", "busybox"),
    )
    minirt(
        "image", "load", "-i", written(tmp_path / "image.tar", oci_files([layer], config=config))
    )
    for words in (("stop", "one"), ("restart", "one"), ("kill", "one")):
        minirt("run", "-d", "--name", "one", "--net", "none", "made:1")
        wait_until(lambda: minirt("logs", "one").stdout.startswith("ready"))
        minirt(*words)
        if words[0] == "stop":
            assert minirt("inspect", "-f", "{{.State.ExitCode}}", "one").stdout == f"{code}\n"
        minirt("rm", "-f", "one")
