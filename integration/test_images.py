"""Images as a user has them: imported, loaded, listed, saved, removed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from integration.archives import (
    LAYERS,
    ROOT,
    member,
    oci_files,
    tar,
    written,
)
from integration.conftest import Minirt
from integration.sandbox import REPOSITORY, minirt_words, shell
from minirt.images import store


def put(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def inspected(minirt: Minirt, name: str) -> dict[str, Any]:
    (document,) = json.loads(minirt("image", "inspect", name).stdout)
    assert isinstance(document, dict)
    return document


# ---- import ------------------------------------------------------------------------------------


def test_an_imported_tar_is_an_image_with_the_configuration_asked_for(
    minirt: Minirt, tmp_path: Path
) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    changes = ("--change", 'CMD ["sh"]', "-c", "ENV A=1", "-c", "EXPOSE 80", "-c", "WORKDIR /bin")
    said = minirt("image", "import", archive, "one", *changes, "-m", "a note").stdout
    document = inspected(minirt, "one")
    assert said == f"{document['Id']}\n"
    assert document["RepoTags"] == ["one:latest"]
    assert document["Comment"] == "a note"
    config = document["Config"]
    assert (config["Cmd"], config["Env"], config["WorkingDir"]) == (["sh"], ["A=1"], "/bin")
    assert config["ExposedPorts"] == {"80/tcp": {}}
    (layer,) = store.find("one").layers
    assert (layer / "bin/sh").read_bytes() == b"#!"
    assert document["Size"] == 2


@pytest.mark.parametrize("program", ["cat", "gzip", "bzip2", "xz", "zstd"])
def test_every_compression_gives_the_same_layer(
    minirt: Minirt, tmp_path: Path, program: str
) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    try:
        packed = subprocess.run(
            [program], input=archive.read_bytes(), capture_output=True, check=True
        )
    except FileNotFoundError:
        pytest.skip(f"{program} is not installed")
    words = minirt_words("image", "import", "-", "x")
    subprocess.run(words, input=packed.stdout, check=True, stdout=subprocess.DEVNULL)
    minirt("image", "import", archive, "plain")
    assert store.find("x").layers == store.find("plain").layers


def test_the_busybox_of_rootfs_tools_is_the_same_each_time(minirt: Minirt, tmp_path: Path) -> None:
    tool = REPOSITORY / "rootfs-tools" / "busybox"
    one, two = tmp_path / "1.tar", tmp_path / "2.tar"
    told = shell(tool, one).stdout
    shell(tool, two)
    assert one.read_bytes() == two.read_bytes()
    assert f"minirt image import {one} busybox --change 'CMD [\"sh\"]'" in told
    minirt("image", "import", one, "busybox")
    (layer,) = store.find("busybox").layers
    assert shell("chroot", layer, "/usr/bin/id", "-u", "www").stdout == "33\n"
    assert shell("chroot", layer, "/usr/bin/wc", "-l", "/etc/passwd").stdout.startswith("4 ")


def test_a_name_that_moves_on_leaves_its_old_image_without_one(
    minirt: Minirt, tmp_path: Path
) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    first = minirt("image", "import", archive, "x", "-m", "1").stdout.strip()
    second = minirt("image", "import", archive, "x", "-m", "2").stdout.strip()
    assert store.find("x").id == second
    assert store.find(first).names == ()
    lines = minirt("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.splitlines()
    assert lines == ["x:latest", "<none>:<none>"]


def test_a_tar_that_is_cut_leaves_nothing(minirt: Minirt, tmp_path: Path) -> None:
    archive = put(tmp_path / "cut.tar", tar(*ROOT, member("big", b"x" * 100_000))[:50_000])
    failed = minirt("image", "import", archive, "x", code=1)
    assert failed.stderr.count("\n") == 1
    assert store.all() == []
    top = Path(os.environ["MINIRT_ROOT"]) / "images"
    assert [one for one in top.rglob("*") if one.is_file()] in ([], [top / "lock"])


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-file", "x"),
        ("ROOT", "UPPER"),
        ("ROOT", "../x"),
        ("ROOT", "x", "--change", "RUN x"),
        ("/", "x"),
    ],
)
def test_a_wrong_import_says_why_and_changes_nothing(
    minirt: Minirt, tmp_path: Path, words: tuple[str, ...]
) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    failed = minirt("image", "import", *(archive if w == "ROOT" else w for w in words), code=1)
    assert failed.stderr.startswith("minirt: ")
    assert failed.stderr.count("\n") == 1
    assert store.all() == []


def test_twenty_imports_at_once_all_arrive(minirt: Minirt, tmp_path: Path) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    running = [
        subprocess.Popen(minirt_words("image", "import", archive, f"n{number % 10}"))
        for number in range(20)
    ]
    assert [one.wait() for one in running] == [0] * 20
    assert {name for image in store.all() for name in image.names} == {
        f"n{number}:latest" for number in range(10)
    }
    (layer,) = {image.layers for image in store.all()}
    assert (layer[0] / "bin/sh").exists()


def test_what_a_killed_import_left_is_swept_by_the_next(minirt: Minirt, tmp_path: Path) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    scratch = Path(os.environ["MINIRT_ROOT"]) / "images/scratch"
    with subprocess.Popen(
        minirt_words("image", "import", "-", "x"), stdin=subprocess.PIPE
    ) as child:
        assert child.stdin
        child.stdin.write(archive.read_bytes()[:5000])
        child.stdin.flush()
        while not list(scratch.glob("*/blobs/sha256/unnamed")):
            assert child.poll() is None
        minirt("image", "import", archive, "other")  # leaves alone what still lives
        assert list(scratch.glob("*/blobs/sha256/unnamed"))
        child.kill()
    minirt("image", "import", archive, "y")
    assert list(scratch.iterdir()) == []
    assert {image.names for image in store.all()} == {("y:latest",), ("other:latest",)}


# ---- ls, inspect, rm ---------------------------------------------------------------------------


@pytest.mark.core
def test_images_are_listed_as_docker_lists_them(minirt: Minirt, tmp_path: Path) -> None:
    assert minirt("image", "ls").stdout.split() == [
        *("REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE")
    ]
    archive = put(tmp_path / "root.tar", tar(*ROOT, member("big", b"x" * 1_234_567)))
    image_id = minirt("image", "import", archive, "one:v1").stdout.strip()
    minirt("image", "import", archive, "localhost/two")
    listed = minirt("image", "ls", "one").stdout.splitlines()
    assert listed[1].split()[:3] == ["one", "v1", image_id[7:19]]
    assert listed[1].endswith("1.23MB")
    assert minirt("image", "ls", "-q", "--no-trunc", "one").stdout == f"{image_id}\n"
    rows = minirt("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert sorted(rows) == ["localhost/two:latest", "one:v1"]
    assert minirt("image", "inspect", "-f", "{{.Os}}", image_id[7:15]).stdout == "linux\n"


def test_layers_that_images_share_go_with_the_last_of_them(minirt: Minirt, tmp_path: Path) -> None:
    files = {one: oci_files(LAYERS[:one], f"image:{one}") for one in (1, 2)}
    for one, content in files.items():
        minirt("image", "load", "-i", written(tmp_path / f"{one}.tar", content))
    low = store.find("image:1")
    said = minirt("image", "rm", "image:2").stdout.splitlines()
    assert said[0] == "Untagged: image:2"
    assert len([line for line in said if line.startswith("Deleted: sha256:")]) == 2
    assert low.layers[0].exists()
    minirt("image", "rm", low.id)
    top = Path(os.environ["MINIRT_ROOT"]) / "images"
    assert list((top / "layers").iterdir()) == list((top / "blobs/sha256").iterdir()) == []


def test_an_image_of_several_names_is_removed_name_by_name(minirt: Minirt, tmp_path: Path) -> None:
    files = oci_files(LAYERS, "a:1")
    minirt("image", "load", "-i", written(tmp_path / "1.tar", files))
    files["index.json"] = files["index.json"].replace(b"a:1", b"b:1")
    minirt("image", "load", "-i", written(tmp_path / "2.tar", files))
    image = store.find("a:1")
    assert image.names == ("a:1", "b:1")
    assert "-f" in minirt("image", "rm", image.id, code=1).stderr
    assert minirt("image", "rm", "a:1").stdout == "Untagged: a:1\n"
    assert store.find("b:1").id == image.id
    minirt("image", "rm", "-f", image.id)
    assert store.all() == []


def test_unknown_images_get_a_sentence(minirt: Minirt) -> None:
    for words in (("inspect", "nope"), ("rm", "nope"), ("save", "nope")):
        failed = minirt("image", *words, code=1)
        assert failed.stderr.startswith("minirt: No such image: nope")
    forced = minirt("image", "rm", "-f", "nope")  # Docker: said, but no failure
    assert (forced.stdout, forced.stderr[:27]) == ("", "minirt: No such image: nope")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"manifests": 5}'])
def test_a_damaged_store_is_called_so(minirt: Minirt, tmp_path: Path, raw: bytes) -> None:
    archive = put(tmp_path / "root.tar", tar(*ROOT))
    minirt("image", "import", archive, "xx")
    (Path(os.environ["MINIRT_ROOT"]) / "images/index.json").write_bytes(raw)
    for words in (("ls",), ("inspect", "xx"), ("rm", "xx"), ("import", archive, "yy")):
        failed = minirt("image", *words, code=1)
        assert failed.stderr.startswith("minirt: The image store is damaged")
        assert failed.stderr.count("\n") == 1
