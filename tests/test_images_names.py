from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.images import names
from minirt.images.names import Name

words = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?", fullmatch=True)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("busybox", Name("busybox")),
        ("busybox:1.36", Name("busybox", "1.36")),
        ("docker.io/library/busybox", Name("busybox")),
        ("library/busybox", Name("busybox")),
        ("library/busybox:1", Name("busybox", "1")),
        ("library/a/b", Name("library/a/b")),
        ("index.docker.io/library/busybox:1", Name("busybox", "1")),
        ("docker.io/me/tool", Name("me/tool")),
        ("me/tool:v1", Name("me/tool", "v1")),
        ("localhost/two:v1", Name("localhost/two", "v1")),
        ("localhost:5000/two", Name("localhost:5000/two")),
        ("quay.io/a/b/c:latest", Name("quay.io/a/b/c")),
        ("docker.io/library/a/b", Name("library/a/b")),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, name: Name) -> None:
    assert names.parse(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "a:", ":b", "Upper", "a b", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b"),
        *("../x", "a/../b", "a:b:c/d:", "a\n", "a:b\n", "a:-b", "ä", "a:ä", "a@b", "host:x/a"),
        *("docker.io/", "f" * 300, "f" * 64, "a:" + "t" * 129),
    ],
)
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        names.parse(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("me/tool:1", "docker.io/me/tool:1"),
        ("quay.io/a:1", "quay.io/a:1"),
        ("localhost/a", "localhost/a:latest"),
    ],
)
def test_the_full_name_leaves_nothing_out(text: str, full: str) -> None:
    assert names.parse(text).full == full


@given(st.lists(words, min_size=1, max_size=3), tags)
def test_a_name_and_its_full_form_are_the_same_name(path: list[str], tag: str) -> None:
    try:
        name = names.parse(f"{'/'.join(path)}:{tag}")
    except InvalidRequest:
        return
    assert names.parse(str(name)) == name
    assert names.parse(name.full) == name


@given(st.text(max_size=40))
def test_no_text_makes_a_name_that_could_be_a_path(text: str) -> None:
    try:
        name = names.parse(text)
    except InvalidRequest:
        return
    assert not {"", ".", ".."} & set(name.repository.split("/"))
    assert str(name).isascii()
    assert str(name).isprintable()
