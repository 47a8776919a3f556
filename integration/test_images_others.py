"""Archives that other programs have made, and ours in their hands."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from integration.archives import fingerprint, folder, member, merged, oci_files, tar, written
from integration.conftest import Minirt
from integration.peers import needs_peer
from integration.sandbox import REPOSITORY, shell
from minirt.images import store

LAYERS = (
    tar(folder("./"), folder("d"), member("d/a", b"one"), member("gone", b"x")),
    tar(member(".wh.gone"), folder("d"), member("d/.wh..wh..opq"), member("d/c", b"three")),
)


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def sandboxed(script: str, *words: object, seconds: float = 120) -> str:
    """Run a script where the stores of podman and docker are empty, and end with it."""
    own = "mount -t tmpfs tmpfs /run; for d in containers docker containerd; do"
    own += " mkdir -p /var/lib/$d; mount -t tmpfs tmpfs /var/lib/$d; done\n"
    unshare = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    lines = f"{own}{textwrap.dedent(script)}"
    return shell(*unshare, "sh", "-euc", lines, "sh", *words, seconds=seconds).stdout


def seen(name: str, place: Path) -> dict[str, tuple[object, ...]]:
    place.mkdir()
    with merged(store.find(name).layers, place) as top:
        return fingerprint(top)


@pytest.fixture
def busybox_tar(tmp_path: Path) -> Path:
    path = tmp_path / "busybox.tar"
    shell(REPOSITORY / "rootfs-tools/busybox", path)
    return path


# ---- skopeo ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci", "zstd"])
def test_what_skopeo_writes_is_loaded_the_same(minirt: Minirt, tmp_path: Path, form: str) -> None:
    needs("skopeo")
    ours = written(tmp_path / "image.tar", oci_files(LAYERS))
    minirt("image", "load", "-i", ours)
    before = seen("made:1", tmp_path / "before")
    theirs = tmp_path / "theirs"
    kind = "oci" if form == "zstd" else form
    name = "docker.io/library/other:2" if form == "docker-archive" else "other:2"
    extra = ("--dest-compress-format", "zstd") if form == "zstd" else ()
    shell("skopeo", "copy", "-q", *extra, f"oci-archive:{ours}", f"{kind}:{theirs}:{name}")
    if form == "zstd":
        magic = b"\x28\xb5\x2f\xfd"
        blobs = [blob.read_bytes()[:4] for blob in (theirs / "blobs/sha256").iterdir()]
        assert blobs.count(magic) == 2
    minirt("image", "rm", "made:1")
    assert minirt("image", "load", "-i", theirs).stdout == "Loaded image: other:2\n"
    assert seen("other:2", tmp_path / "after") == before


def test_skopeo_reads_what_was_saved(minirt: Minirt, tmp_path: Path, busybox_tar: Path) -> None:
    needs("skopeo")
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(LAYERS)))
    minirt("image", "import", busybox_tar, "busybox", "-c", "ENV A=1")
    saved, copy = tmp_path / "saved.tar", tmp_path / "copy.tar"
    minirt("image", "save", "-o", saved, "made:1", "busybox")
    source = f"oci-archive:{saved}:busybox:latest"
    document = json.loads(shell("skopeo", "inspect", source).stdout)
    assert document["Env"] == ["A=1"]
    assert document["Architecture"] == store.find("busybox").config["architecture"]
    before = {name: seen(name, tmp_path / name[:4]) for name in ("made:1", "busybox")}
    for name in ("made:1", "busybox:latest"):
        copy.unlink(missing_ok=True)
        image = store.find(name)
        shell(
            "skopeo", "copy", "-q", f"oci-archive:{saved}:{name}", f"docker-archive:{copy}:{name}"
        )
        minirt("image", "rm", name)
        minirt("image", "load", "-i", copy)
        assert store.find(name).diff_ids == image.diff_ids
    assert {name: seen(name, tmp_path / f"{name[:4]}2") for name in before} == before


# ---- podman ------------------------------------------------------------------------------------

PODMAN = """
    export PODMAN_IGNORE_CGROUPSV1_WARNING=1
    podman import -q "$1" localhost/base:1 >/dev/null
    change() {
        container=$(podman create --network none "$1" true)
        (cd "$(podman mount "$container")" && eval "$3")
        podman umount "$container" >/dev/null
        podman commit -q "$container" "$2" >/dev/null
        podman rm "$container" >/dev/null
    }
    change base:1 one:1 'mkdir -p d/sub; echo one >d/a; echo two >d/sub/b; echo x >gone'
    change one:1 two:1 'rm gone; rm -r d; mkdir d; echo three >d/c; chmod 4755 bin/ping'
"""


@pytest.mark.slow
def test_what_podman_saves_is_loaded(minirt: Minirt, tmp_path: Path, busybox_tar: Path) -> None:
    """Its layers are real: whiteouts and an opaque folder, found by podman in an overlay."""
    needs("podman")
    script = f"""{PODMAN}
        podman save -q -o "$2/docker.tar" two:1
        podman save -q --format oci-archive -o "$2/oci.tar" two:1
        podman save -q --format oci-dir -o "$2/folder" two:1
        podman save -q -m -o "$2/many.tar" two:1 base:1
    """
    sandboxed(script, busybox_tar, tmp_path)
    views = []
    for form in ("docker.tar", "oci.tar", "folder", "many.tar"):
        said = minirt("image", "load", "-i", tmp_path / form).stdout.splitlines()
        assert said[0] == "Loaded image: localhost/two:1"
        assert len(said) == (2 if form == "many.tar" else 1)
        views.append(seen("localhost/two:1", tmp_path / f"{form}-seen"))
        minirt("image", "rm", "localhost/two:1")
    assert views[0] == views[1] == views[2] == views[3]
    assert {"d", "d/c"} == {name for name in views[0] if name.split("/")[0] in ("d", "gone")}
    assert views[0]["bin/ping"][0] == "0o104755"


@pytest.mark.slow
def test_podman_loads_what_was_saved(minirt: Minirt, tmp_path: Path) -> None:
    needs("podman")
    minirt("image", "load", "-i", written(tmp_path / "image.tar", oci_files(LAYERS)))
    minirt("image", "save", "-o", tmp_path / "saved.tar", "made:1")
    script = """
        export PODMAN_IGNORE_CGROUPSV1_WARNING=1
        podman load -q -i "$1"
        cd "$(podman image mount made:1)" && find . -type f | sort && cat d/c
    """
    said = sandboxed(script, tmp_path / "saved.tar")
    assert "made:1" in said
    assert said.endswith("./d/c\nthree")


# ---- docker ------------------------------------------------------------------------------------

DOCKER = """
    export DOCKER_HOST=unix:///run/d.sock DOCKER_BUILDKIT=0 HOME=/run
    ip link set lo up
    dockerd --bridge=none --iptables=false --ip6tables=false -H $DOCKER_HOST \
        --exec-root /run/docker-exec --pidfile /run/docker.pid >/run/log 2>&1 &
    for _ in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
"""


@pytest.mark.slow
@needs_peer("dockerd", "docker", "containerd")
def test_what_docker_saves_is_loaded_and_the_other_way_round(
    minirt: Minirt, tmp_path: Path, busybox_tar: Path
) -> None:
    minirt("image", "import", busybox_tar, "ours:1", "-c", 'CMD ["sh"]')
    minirt("image", "save", "-o", tmp_path / "ours.tar", "ours:1")
    (tmp_path / "Dockerfile").write_text("FROM base:1\nCOPY Dockerfile /d/sub/f\nENV A=1\n")
    script = f"""{DOCKER}
        cd "$2"
        docker import "$1" base:1 >/dev/null
        docker build -q -t multi:1 . >/dev/null
        docker save -o named.tar multi:1 base:1
        docker save -o nameless.tar $(docker images -q multi:1)
        docker load -i ours.tar
        docker image inspect -f '{{{{.Config.Cmd}}}} {{{{.RootFS.Layers}}}}' ours:1
        docker image inspect -f '{{{{.Id}}}}' multi:1
    """
    loaded, ours, multi = sandboxed(script, busybox_tar, tmp_path).splitlines()
    assert loaded == "Loaded image: ours:1"
    assert ours == f"[sh] [{store.find('ours:1').diff_ids[0]}]"
    said = minirt("image", "load", "-i", tmp_path / "named.tar").stdout.splitlines()
    assert sorted(said) == ["Loaded image: base:1", "Loaded image: multi:1"]
    assert store.find("multi:1").id == multi
    assert store.find("multi:1").execution["Env"][-1] == "A=1"
    assert (store.find("multi:1").layers[0] / "d/sub/f").read_text().startswith("FROM base:1")
    minirt("image", "rm", "multi:1")
    said = minirt("image", "load", "-i", tmp_path / "nameless.tar").stdout.splitlines()
    assert said == [f"Loaded image ID: {multi}"]
