"""Archives of images that lie about what they hold."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.archives import (
    CONFIG,
    MANIFEST,
    ROOT,
    assert_no_image_is_left,
    described,
    digest,
    layout_of,
    member,
    oci_files,
    symlink,
    tar,
    written,
)
from integration.conftest import Minirt
from minirt import state
from minirt.images import documents, index, layers, store, streams
from minirt.images.load import load
from minirt.state import parse_json

LAYER = tar(*ROOT[:1], member("f", b"x"))


def loaded_badly(minirt: Minirt, tmp_path: Path, files: dict[str, bytes]) -> str:
    failed = minirt("image", "load", "-i", written(tmp_path / "hostile.tar", files), code=1)
    assert failed.stderr.count("\n") == 1
    assert_no_image_is_left()
    return failed.stderr


def changed(files: dict[str, bytes], which: Callable[[bytes], bool], raw: bytes | None) -> None:
    (name,) = [one for one, content in files.items() if "blobs" in one and which(content)]
    files.pop(name)
    if raw is not None:
        files[name] = raw


@pytest.mark.parametrize("raw", [None, b"", b"other", gzip.compress(LAYER, 1, mtime=1)])
def test_a_blob_that_is_not_what_it_is_called_is_refused(
    minirt: Minirt, tmp_path: Path, raw: bytes | None
) -> None:
    files = oci_files([LAYER])
    changed(files, lambda content: content.startswith(b"\x1f\x8b"), raw)
    loaded_badly(minirt, tmp_path, files)


def test_a_layer_whose_tar_is_another_one_is_refused(minirt: Minirt, tmp_path: Path) -> None:
    other: dict[str, Any] = {"rootfs": {"type": "layers", "diff_ids": [digest(b"other")]}}
    assert "damaged" in loaded_badly(minirt, tmp_path, oci_files([LAYER], **other))


def test_an_image_cannot_pass_off_somebody_elses_layer_as_its_own(
    minirt: Minirt, tmp_path: Path
) -> None:
    minirt("image", "load", "-i", written(tmp_path / "hostile.tar", oci_files([LAYER], "good:1")))
    claim: dict[str, Any] = {"rootfs": {"type": "layers", "diff_ids": [digest(LAYER)]}}
    files = oci_files([tar(*ROOT[:1])], "thief:1", **claim)
    failed = minirt("image", "load", "-i", written(tmp_path / "hostile.tar", files), code=1)
    assert "damaged" in failed.stderr
    assert [image.names for image in store.all()] == [("good:1",)]


def manifest_with(**changes: Any) -> dict[str, bytes]:
    config = json.dumps({"os": "linux", "rootfs": {"diff_ids": [digest(LAYER)]}}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(LAYER, "application/vnd.oci.image.layer.v1.tar")],
    }
    return layout_of({**manifest, **changes}, [config, LAYER], "hostile:1")


def test_the_manifest_that_the_next_tests_spoil_is_fine(minirt: Minirt, tmp_path: Path) -> None:
    minirt("image", "load", "-i", written(tmp_path / "hostile.tar", manifest_with()))
    assert store.find("hostile:1").size == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"manifests": []},
        {"mediaType": "application/vnd.oci.image.index.v1+json"},
        {"layers": []},
        {"layers": [described(LAYER, "text/plain")]},
        {"annotations": {"padding": "x" * (5 << 20)}},
    ],
    ids=["both", "another type", "a layer less", "no layer", "5 MiB"],
)
def test_a_manifest_that_could_be_something_else_is_refused(
    minirt: Minirt, tmp_path: Path, changes: dict[str, Any]
) -> None:
    loaded_badly(minirt, tmp_path, manifest_with(**changes))


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {},
        [{"Config": "../../../../etc/passwd", "Layers": []}],
        [{"Config": "/etc/passwd", "Layers": []}],
        [{"Config": "link", "Layers": []}],
        [{"Config": "loop", "Layers": []}],
        [{"Config": 5, "Layers": []}],
        [{"Config": "c.json", "Layers": ["/etc/passwd"]}],
        [{"Config": "c.json", "Layers": "abc"}],
        [{"Config": "c.json", "Layers": [], "RepoTags": ["../../x"]}],
    ],
)
def test_an_archive_of_docker_that_names_other_files_is_refused(
    minirt: Minirt, tmp_path: Path, manifest: Any
) -> None:
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(
        tar(
            member("manifest.json", json.dumps(manifest).encode()),
            member("c.json", b'{"os":"linux"}'),
            symlink("link", "/etc/passwd"),
            symlink("loop", "loop"),
        )
    )
    failed = minirt("image", "load", "-i", archive, code=1)
    assert failed.stderr.count("\n") == 1
    assert_no_image_is_left()


def test_a_folder_cannot_lead_to_files_outside_of_it(minirt: Minirt, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    for name, raw in oci_files([LAYER]).items():
        (layout / name).parent.mkdir(parents=True, exist_ok=True)
        (layout / name).write_bytes(raw)
    blobs = (layout / "blobs/sha256").iterdir()
    blob = next(one for one in blobs if one.read_bytes()[:2] == b"\x1f\x8b")
    minirt("image", "load", "-i", layout)  # The control: as long as all is inside.
    minirt("image", "rm", "made:1")
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    assert digest(blob.read_bytes())[7:] == blob.name  # And whoever follows the link finds it.
    minirt("image", "load", "-i", layout, code=1)
    blob.unlink()
    os.mkfifo(blob)
    minirt("image", "load", "-i", layout, code=1, seconds=5)
    assert_no_image_is_left()


@pytest.mark.parametrize(
    "path",
    ["\ud800", "a\0b", "", ".", "folder"],
    ids=["half of a surrogate pair", "zero byte", "empty", "dot", "folder"],
)
@pytest.mark.parametrize("part", ["Config", "Layers"])
def test_folder_that_names_no_file_is_refused(
    minirt: Minirt, tmp_path: Path, part: str, path: str
) -> None:
    """A path of half a surrogate pair can be spelled in JSON, and no file can have it."""
    (tmp_path / "saved/folder").mkdir(parents=True)
    image = {"Config": "config", "Layers": ["layer"], "RepoTags": ["made:1"]}
    config = {"os": "linux", "rootfs": {"diff_ids": [digest(LAYER)]}}
    (tmp_path / "saved/config").write_text(json.dumps(config))
    (tmp_path / "saved/layer").write_bytes(LAYER)
    (tmp_path / "saved/manifest.json").write_text(json.dumps([image]))
    minirt("image", "load", "-i", tmp_path / "saved")  # The control.
    minirt("image", "rm", "made:1")
    image[part] = [path] if part == "Layers" else path
    (tmp_path / "saved/manifest.json").write_text(json.dumps([image]))
    failed = minirt("image", "load", "-i", tmp_path / "saved", code=1)
    assert "This is no tar archive that can be used" in failed.stderr
    assert_no_image_is_left()


@pytest.mark.parametrize("rootfs", [{}, {"rootfs": None}, {"rootfs": {}}])
def test_image_without_layers_needs_no_list_of_them(
    minirt: Minirt, tmp_path: Path, rootfs: dict[str, Any]
) -> None:
    files = {"config": json.dumps({"os": "linux", **rootfs}).encode()}
    files["manifest.json"] = json.dumps([{"Config": "config", "RepoTags": ["made:1"]}]).encode()
    minirt("image", "load", "-i", written(tmp_path / "empty.tar", files))
    assert store.find("made:1").size == 0
    minirt("image", "rm", "made:1")
    assert_no_image_is_left()


@pytest.mark.parametrize(
    "claim",
    [
        {"created": "\x1b[31mnow"},
        {"created": "9999-99-99T00:00:00Z"},
        {"history": [1]},
        {"config": {"Cmd": ["sh"], "Env": ["A=\ud800"]}},
        {"config": {"Cmd": ["sh"], "Volumes": {"/\udcff": {}}}},
        {"config": {"Cmd": ["sh"], "Healthcheck": {"Test": 5}}},
    ],
)
def test_a_configuration_that_lists_could_not_show_is_refused(
    minirt: Minirt, tmp_path: Path, claim: dict[str, Any]
) -> None:
    assert "configuration is not valid" in loaded_badly(
        minirt, tmp_path, oci_files([LAYER], **claim)
    )
    minirt("image", "load", "-i", written(tmp_path / "fine.tar", oci_files([LAYER])))
    assert "made" in minirt("image", "ls").stdout
    assert "made:1" in minirt("image", "inspect", "made:1").stdout


def reads(archive: Path) -> int:
    """Load an archive; return how often a layer was decompressed."""
    count = 0

    class Counting(streams.Unpacked):
        def __init__(self, source: streams.Readable, limit: int) -> None:
            nonlocal count
            count += 1
            super().__init__(source, limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "Unpacked", Counting)
        load(archive)
    return count


@pytest.mark.in_process
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_a_layer_that_is_named_very_often_is_read_once(
    minirt: Minirt, tmp_path: Path, form: str
) -> None:
    often = 100
    config = json.dumps(
        {"os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(LAYER)] * often}}
    ).encode()
    blob = gzip.compress(LAYER, mtime=0)
    files = {"config": config, "layer": blob}
    image = {"Config": "config", "RepoTags": ["made:1"], "Layers": ["layer"] * often}
    files["manifest.json"] = json.dumps([image] * often).encode()
    if form == "oci":
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(config, CONFIG),
            "layers": [described(blob, "application/vnd.oci.image.layer.v1.tar+gzip")] * often,
        }
        files = layout_of(manifest, [config, blob], "made:1")
        index = json.loads(files["index.json"])
        index["manifests"] *= often
        files["index.json"] = json.dumps(index).encode()
    assert reads(written(tmp_path / "often.tar", files)) == 1
    assert len(store.find("made:1").layers) == 1
    other = oci_files([LAYER, tar(member("g", b"y"))], "made:2")
    assert reads(written(tmp_path / "other.tar", other)) == 2  # The control.


@pytest.mark.in_process
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_documents_that_are_named_very_often_are_read_once(
    minirt: Minirt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Of 4 MiB each takes half a second, and an index may name it ten thousand times."""
    counts = {1: 0, 100: 0}
    often = 1

    def counted(raw: bytes | str) -> Any:
        counts[often] += 1
        return parse_json(raw)

    for module in (documents, state):
        monkeypatch.setattr(module, "parse_json", counted)
    for often in counts:
        config = json.dumps({"os": "linux", "rootfs": {"diff_ids": [digest(LAYER)]}}).encode()
        images = [
            {"Config": "config", "Layers": ["layer"], "RepoTags": [f"n{number}:1"]}
            for number in range(often)
        ]
        files = {"config": config, "layer": LAYER, "manifest.json": json.dumps(images).encode()}
        if form == "oci":
            files = manifest_with()
            document = json.loads(files["index.json"])
            key = "org.opencontainers.image.ref.name"
            document["manifests"] = [
                {**document["manifests"][0], "annotations": {key: f"n{number}:1"}}
                for number in range(often)
            ]
            files["index.json"] = json.dumps(document).encode()
        load(written(tmp_path / "often.tar", files))
        minirt("image", "rm", "-f", store.find("n0:1").id)
    assert 0 < counts[100] < counts[1] + 10


def named_image(tmp_path: Path, *lists: list[str]) -> Path:
    """Return an archive of docker save with an image for each list of names."""
    files, images = {"layer": LAYER}, []
    for number, tags in enumerate(lists):
        config = {"os": "linux", "author": str(number), "rootfs": {"diff_ids": [digest(LAYER)]}}
        files[f"config{number}"] = json.dumps(config).encode()
        images.append({"Config": f"config{number}", "RepoTags": tags, "Layers": ["layer"]})
    files["manifest.json"] = json.dumps(images).encode()
    return written(tmp_path / "named.tar", files)


def test_an_archive_with_thousands_of_names_is_no_work_of_minutes(
    minirt: Minirt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = index.name_of

    def counted(descriptor: dict[str, Any]) -> str:
        nonlocal calls
        calls += 1
        return original(descriptor)

    monkeypatch.setattr(index, "name_of", counted)
    names = [f"n{number}" for number in range(1000)]
    load(named_image(tmp_path, names))
    assert calls < 10 * len(names)
    assert len(store.find("n999").names) == 1000


def test_an_archive_with_more_names_than_an_index_bears_is_refused(
    minirt: Minirt, tmp_path: Path
) -> None:
    archive = named_image(tmp_path, [f"n{number}" for number in range(10_001)])
    assert "10000 names" in minirt("image", "load", "-i", archive, code=1).stderr
    assert_no_image_is_left()


def test_of_two_images_with_one_name_the_later_one_has_it(minirt: Minirt, tmp_path: Path) -> None:
    minirt("image", "load", "-i", named_image(tmp_path, ["a", "b"]))
    first = store.find("a").id
    minirt("image", "load", "-i", named_image(tmp_path, ["c", "b"], ["a", "c"], ["a", "b"]))
    found = {image.config["author"]: set(image.names) for image in store.all()}
    assert found == {
        "0": set(),
        "1": {"c:latest"},
        "2": {"a:latest", "b:latest"},
    }
    assert store.find(first).config["author"] == "0"
