"""Archives of images: loaded, unpacked as overlayfs wants it, and saved again."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from integration.archives import (
    LAYERS,
    MANIFEST,
    ROOT,
    described,
    digest,
    fingerprint,
    folder,
    member,
    merged,
    oci_files,
    symlink,
    tar,
    written,
)
from integration.conftest import Minirt
from integration.sandbox import minirt_words
from minirt.images import platforms, store
from minirt.images.copy_up import copy_up

SEEN = {"bin", "bin/sh", "d", "d/c", "replaced", "replaced/new", "link", "suid", "suid2", "pipe"}
SEEN |= {"attributes", "."}


def test_layers_are_what_overlayfs_makes_of_them(minirt: Minirt, tmp_path: Path) -> None:
    archive = written(tmp_path / "image.tar", oci_files(LAYERS))
    assert minirt("image", "load", "-i", archive).stdout == "Loaded image: made:1\n"
    image = store.find("made:1")
    with merged(image.layers, tmp_path) as top:
        assert set(fingerprint(top)) == SEEN
        assert (top / "link").readlink() == Path("/d/a")
        suid = (top / "suid").lstat()
        assert (suid.st_mode, suid.st_uid, suid.st_gid) == (0o104755, 7, 8)
        assert suid.st_mtime == 1_234_567_890
        assert suid.st_ino == (top / "suid2").lstat().st_ino
        assert (top / "d").lstat().st_mode == 0o40700
        assert os.getxattr(top / "attributes", "user.who") == b"me"


@pytest.mark.parametrize("path", ["/", "/d", "//d/../d/.", "replaced"])
def test_a_volume_is_filled_with_what_a_container_would_see(
    minirt: Minirt, tmp_path: Path, path: str
) -> None:
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(LAYERS)))
    layers = store.find("made:1").layers
    volume = tmp_path / "volume"
    volume.mkdir()
    copy_up(layers, path, volume)
    with merged(layers, tmp_path) as top:
        assert fingerprint(volume) == fingerprint(top / path.lstrip("/"))


def test_a_volume_over_a_symlink_is_filled_from_inside_the_image(
    minirt: Minirt, tmp_path: Path
) -> None:
    layer = tar(
        folder("data"),
        member("data/x", b"in"),
        symlink("var", "../../../data"),
        symlink("up", "/../../etc"),
        symlink("loop", "loop"),
    )
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files([layer])))
    layers = store.find("made:1").layers
    volume = tmp_path / "volume"
    volume.mkdir()
    for outside in ("/up", "/nowhere", "/data/x", "/../../../../etc", "/up/../../../etc"):
        copy_up(layers, outside, volume)
        assert list(volume.iterdir()) == []
    copy_up(layers, "/var", volume)
    assert (volume / "x").read_bytes() == b"in"


def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    path.write_bytes(tar(*ROOT))
    return path


@pytest.mark.parametrize("form", ["plain", "gzip", "folder", "pipe"])
def test_an_archive_may_come_in_any_form(minirt: Minirt, tmp_path: Path, form: str) -> None:
    files = oci_files(LAYERS, "quay.io/a/b:2")
    archive = written(tmp_path / "image.tar", files)
    if form == "gzip":
        archive.write_bytes(gzip.compress(archive.read_bytes()))
    elif form == "folder":
        for name, raw in files.items():
            (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "folder" / name).write_bytes(raw)
        archive = tmp_path / "folder"
    if form == "pipe":
        with subprocess.Popen(["cat", archive], stdout=subprocess.PIPE) as cat:
            done = subprocess.run(
                minirt_words("image", "load"),
                stdin=cat.stdout,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        said = done.stdout
    else:
        said = minirt("image", "load", "-i", archive).stdout
    assert said == "Loaded image: quay.io/a/b:2\n"
    assert len(store.find("quay.io/a/b:2").layers) == 2


@pytest.mark.core
def test_what_is_saved_is_loaded_the_same(minirt: Minirt, tmp_path: Path) -> None:
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(LAYERS)))
    minirt("image", "import", rootfs(tmp_path), "two")
    before = {image.id: (image.names, image.config) for image in store.all()}
    minirt("image", "save", "-o", tmp_path / "saved.tar", "made:1", "two")
    minirt("image", "save", "-o", tmp_path / "again.tar", "made:1", "two")
    assert (tmp_path / "saved.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    minirt("image", "rm", "made:1", "two")
    assert store.all() == []
    minirt("image", "load", "-i", tmp_path / "saved.tar")
    assert {image.id: (image.names, image.config) for image in store.all()} == before


def test_an_image_saved_by_its_id_has_no_name(minirt: Minirt, tmp_path: Path) -> None:
    image_id = minirt("image", "import", rootfs(tmp_path), "x").stdout.strip()
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as out:
        subprocess.run(minirt_words("image", "save", image_id[7:19]), stdout=out, check=True)
    minirt("image", "rm", "x")
    assert minirt("image", "load", "-i", saved).stdout == f"Loaded image ID: {image_id}\n"
    assert store.find(image_id).names == ()


def test_a_failed_save_leaves_no_file(minirt: Minirt, tmp_path: Path) -> None:
    minirt("image", "save", "-o", tmp_path / "x.tar", "nothing", code=1)
    minirt("image", "save", "-o", tmp_path / "no" / "x.tar", "nothing", code=1)
    assert list(tmp_path.iterdir()) == []


# ---- what others do ----------------------------------------------------------------------------


def test_layers_of_an_old_docker_are_found_through_their_links(
    minirt: Minirt, tmp_path: Path
) -> None:
    config = {"os": "linux", "rootfs": {"diff_ids": [digest(one) for one in (*LAYERS, LAYERS[0])]}}
    image = {
        "Config": "c.json",
        "RepoTags": ["old:1", "docker.io/library/older:1"],
        "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"],
    }
    archive = tmp_path / "old.tar"
    archive.write_bytes(
        tar(
            folder("a"),
            member("a/layer.tar", LAYERS[0]),
            member("b/layer.tar", gzip.compress(LAYERS[1])),
            symlink("c/layer.tar", "../a/layer.tar"),
            member("c.json", json.dumps(config).encode()),
            member("manifest.json", json.dumps([image]).encode()),
        )
    )
    said = minirt("image", "load", "-i", archive).stdout.splitlines()
    assert said == ["Loaded image: old:1", "Loaded image: older:1"]
    assert store.find("old:1").id == digest(json.dumps(config).encode())


def test_a_layer_that_comes_twice_is_stacked_once(minirt: Minirt, tmp_path: Path) -> None:
    """Overlayfs refuses the same folder twice; the lower one would show nothing anyway."""
    twice = oci_files([LAYERS[0], LAYERS[1], LAYERS[0]])
    minirt("image", "load", "-i", written(tmp_path / "image.tar", twice))
    image = store.find("made:1")
    assert (len(image.diff_ids), len(image.layers)) == (3, 2)
    with merged(image.layers, tmp_path) as top:
        assert (top / "gone").exists()
        assert {one.name for one in (top / "d").iterdir()} == {"a", "c", "sub"}


def test_a_root_that_is_opaque_hides_all_below(minirt: Minirt, tmp_path: Path) -> None:
    layers = [LAYERS[0], tar(folder("./"), member(".wh..wh..opq"), member("alone", b"x"))]
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(layers)))
    with merged(store.find("made:1").layers, tmp_path) as top:
        assert [one.name for one in top.iterdir()] == ["alone"]


def test_whiteouts_work_in_any_order(minirt: Minirt, tmp_path: Path) -> None:
    """The standard says that a whiteout never hides what its own layer brings."""
    late = [
        tar(folder("d"), member("d/new", b"x"), member("f", b"x"), member(".wh.d"), member(".wh.f"))
    ]
    early = [
        tar(member(".wh.d"), member(".wh.f"), folder("d"), member("d/new", b"x"), member("f", b"x"))
    ]
    low = tar(folder("d"), member("d/old", b"x"), folder("f"), member("f/old", b"x"))
    for number, high in enumerate((late, early)):
        files = oci_files([low, *high], f"image:{number}")
        minirt("image", "load", "-i", written(tmp_path / "image.tar", files))
        place = tmp_path / str(number)
        place.mkdir()
        with merged(store.find(f"image:{number}").layers, place) as top:
            assert set(fingerprint(top)) == {".", "d", "d/new", "f"}
            assert (top / "f").read_bytes() == b"x"


def test_of_an_index_the_image_of_this_machine_is_taken(minirt: Minirt, tmp_path: Path) -> None:
    """Builders write an index within the index, with images of other machines that are missing."""
    files = oci_files([LAYERS[0]])
    (mine,) = json.loads(files["index.json"])["manifests"]
    del mine["annotations"]
    mine["platform"] = {"os": "linux", "architecture": platforms.architecture()}
    other = {**described(b"absent", MANIFEST), "platform": {"os": "linux", "architecture": "mips"}}
    proof = {
        **described(b"proof", MANIFEST),
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    inner = json.dumps({"schemaVersion": 2, "manifests": [other, mine, proof]}).encode()
    outer = described(inner, "application/vnd.oci.image.index.v1+json")
    outer["annotations"] = {
        "org.opencontainers.image.ref.name": "1.0",
        "io.containerd.image.name": "docker.io/library/many:1.0",
    }
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode()
    files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    said = minirt("image", "load", "-i", written(tmp_path / "image.tar", files)).stdout
    assert said == "Loaded image: many:1.0\n"
