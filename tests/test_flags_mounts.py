from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container.flags.mounts import distinct, mount, tmpfs, volume
from minirt.container.record import Mount
from minirt.errors import InvalidRequest


def test_a_path_of_the_host_is_a_bind_mount(tmp_path: Path) -> None:
    one = volume(f"{tmp_path}:/a/../b/:ro,rslave")
    wanted = Mount("bind", str(tmp_path), "/b", "", True, "rslave", mode="ro,rslave")
    assert one == wanted
    assert replace(volume(f"{tmp_path}:/a:idmap"), mode="") == volume(f"{tmp_path}:/a")


def test_a_relative_path_begins_with_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert volume("./here:/a").source == str(tmp_path / "here")
    assert volume(".:/a").source == str(tmp_path)


def test_a_missing_source_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"does not exist.*mkdir -p"):
        volume(f"{tmp_path}/none:/a")
    with pytest.raises(InvalidRequest, match="does not exist"):
        mount(f"type=bind,src={tmp_path}/none,dst=/a")
    assert not (tmp_path / "none").exists()


def test_a_name_is_a_volume_and_a_path_alone_a_nameless_one() -> None:
    assert volume("data:/a") == Mount("volume", "", "/a", name="data")
    assert volume("/a") == Mount("volume", "", "/a")
    assert volume("data:/a:ro,nocopy").options == ["nocopy"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a:b:c:d", "invalid volume specification"),
        (":/a", "invalid volume specification"),
        ("", "invalid volume specification"),
        ("data:b", "mount path must be absolute"),
        ("data:/", "destination can't be '/'"),
        ("data:/a/..", "destination can't be '/'"),
        ("data:/a:foo", "invalid mode: foo"),
        ("data:/a:ro,rw", "invalid mode: ro,rw"),
        ("data:/a:ro,ro", "invalid mode: ro,ro"),
        ("/tmp:/a:z,Z", "invalid mode: z,Z"),
        ("/tmp:/a:shared,rslave", "invalid mode: shared,rslave"),
        ("data:/a:shared,ro", "shared is for folders of the host, not volumes"),
        ("/tmp:/a:nocopy", "nocopy is for volumes"),
        ("a/b:/c", "includes invalid characters"),
        ("x:/c", "too short"),
    ],
)
def test_what_is_no_volume_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        volume(text)


def test_the_long_form_knows_three_kinds(tmp_path: Path) -> None:
    bind = mount(f"type=bind,source={tmp_path},target=/a,readonly,bind-propagation=shared")
    assert bind == Mount("bind", str(tmp_path), "/a", read_only=True, propagation="shared")
    assert mount("src=data,dst=/a") == Mount("volume", "", "/a", name="data")
    assert mount("type=volume,destination=/a,ro=false") == Mount("volume", "", "/a")
    memory = mount("type=tmpfs,target=/a,tmpfs-size=1m,tmpfs-mode=1777")
    assert memory == Mount("tmpfs", "", "/a", options=["size=1048576", "mode=1777"])


def test_commas_may_be_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert mount(f'type=bind,"source={folder}",target=/a').source == str(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type=bind,target=/a", "needs a source"),
        ("type=bind,source=/tmp", "target is required"),
        ("type=nfs,target=/a", "mount type nfs"),
        ("type=tmpfs,source=/x,target=/a", "has no source"),
        ("type=volume,target=/a,foo=1", "unexpected key 'foo'"),
        ("type=volume,target=/a,bind-propagation=shared", "unexpected key"),
        ("type=bind,source=/tmp,target=/a,bind-propagation=x", "invalid propagation"),
        ("type=tmpfs,target=/a,tmpfs-mode=9", "invalid tmpfs option"),
        ("target=/a,readonly=perhaps", "neither true nor false"),
        ("justaword", "must be a key=value pair"),
        ('target="/a', "Invalid argument"),
    ],
)
def test_what_is_no_mount_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        mount(text)


@given(st.text(max_size=40))
def test_any_text_is_a_mount_or_a_clear_refusal(text: str) -> None:
    for parse in (mount, tmpfs, volume):
        try:
            assert parse(text).destination.startswith("/")
        except InvalidRequest as error:
            assert "Invalid argument" in str(error)


def test_tmpfs_options_are_checked() -> None:
    assert tmpfs("/run:rw,noexec,size=64m,mode=700").options[-1] == "mode=700"
    for bad in ("/run:foo", "/run:size=", "/run:lowerdir=/", "run", "/"):
        with pytest.raises(InvalidRequest, match="--tmpfs"):
            tmpfs(bad)


def test_two_mounts_can_not_have_one_place() -> None:
    with pytest.raises(InvalidRequest, match="Duplicate mount point: /a"):
        distinct([volume("data:/a"), tmpfs("/a/")])
