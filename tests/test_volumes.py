from __future__ import annotations

from pathlib import Path

import pytest

from minirt.container import names, record, volume_rows, volumes
from minirt.container.flags.mounts import volume as parsed
from minirt.container.log_writer import timestamp
from minirt.container.record import Mount, Record
from minirt.errors import Conflict, InvalidRequest, NotFound
from minirt.state import root_dir


def container(*mounts: Mount) -> Record:
    one = Record("ab" * 32, "web", timestamp(), "busybox", "sha256:00", mounts=list(mounts))
    record.save(one)
    names.claim("web", one.id)
    return one


def resolve(*mounts: Mount, wants: tuple[str, ...] = ()) -> list[Mount]:
    return volumes.resolve(mounts, wants, ())


def test_making_a_volume_twice_keeps_what_is_in_it() -> None:
    first = volumes.create("data", {"a": "b"})
    (first.data / "file").write_text("kept")
    assert volumes.create("data") == first
    assert (first.data / "file").read_text() == "kept"
    assert [one.name for one in volumes.all_volumes()] == ["data"]


def test_nothing_half_made_is_left_or_listed() -> None:
    volumes.create("data")
    assert [one.name for one in (root_dir() / "volumes").iterdir()] == ["data"]
    (root_dir() / "volumes" / "half").mkdir()
    assert [one.name for one in volumes.all_volumes()] == ["data"]


@pytest.mark.parametrize("name", ["../x", "a b", "x", "."])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid volume name"):
        volumes.create(name)
    with pytest.raises(NotFound):
        volumes.find(name)


def test_a_mount_finds_its_volume_and_makes_it_if_needed() -> None:
    named, nameless = resolve(parsed("data:/a:ro,nocopy"), parsed("/b"))
    assert named.source == str(volumes.find("data").data)
    assert (named.read_only, named.options) == (True, [])
    assert len(nameless.name) == 64
    assert volumes.find(nameless.name).anonymous
    assert not volumes.find("data").anonymous


def test_what_the_image_wants_as_volumes_gets_one_unless_something_is_mounted_there() -> None:
    mounts = volumes.resolve([parsed("data:/a")], ["/a", "/b/", "/c"], (), covered=["/c"])
    assert [one.destination for one in mounts] == ["/a", "/b"]


@pytest.mark.parametrize("path", ["/a/", "//a", "/x/../a", "/../../a", "/a/."])
def test_no_spelling_of_a_path_lets_an_image_cover_what_the_operator_mounts(path: str) -> None:
    assert [one.name for one in resolve(parsed("data:/a"), wants=(path,))] == ["data"]


@pytest.mark.parametrize("path", ["", "/", "..", "/x/..", "relative"])
def test_a_volume_of_an_image_has_a_place_of_its_own(path: str) -> None:
    with pytest.raises(InvalidRequest, match="VOLUME"):
        resolve(wants=("/b", path))
    assert volumes.all_volumes() == []


def test_a_failure_takes_back_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    kept = volumes.create("kept")
    with pytest.raises(InvalidRequest):
        resolve(parsed("kept:/a"), parsed("/b"), Mount("volume", "", "/c", name="bad name"))
    assert volumes.all_volumes() == [kept]


def test_a_volume_in_use_can_not_be_removed() -> None:
    one = container(*resolve(parsed("data:/a")))
    with pytest.raises(Conflict, match="minirt rm web"):
        volumes.remove("data")
    names.release("web", one.id)
    volumes.remove("data")
    with pytest.raises(NotFound):
        volumes.remove("data")
    assert not list((root_dir() / "trash").iterdir())


def test_removing_a_container_takes_only_its_nameless_volumes_along() -> None:
    one = container(*resolve(parsed("data:/a"), parsed("/b")))
    volumes.remove_anonymous(one)
    assert [volume.name for volume in volumes.all_volumes()] == ["data"]


def test_filters_and_rows_of_volumes() -> None:
    container(*resolve(parsed("used:/a")))
    volumes.create("free", {"tier": "one"})
    every = volumes.all_volumes()

    def found(*filters: str) -> list[str]:
        return [one.name for one in volume_rows.kept(every, filters)]

    assert found("dangling=true") == ["free"]
    assert found("dangling=false") == ["used"]
    assert found("label=tier=one") == found("name=fre") == found("label=tier") == ["free"]
    assert found("driver=nfs") == []
    with pytest.raises(InvalidRequest, match="Invalid filter"):
        found("foo=1")
    assert volume_rows.document(volumes.find("free"))["Labels"] == {"tier": "one"}
