from __future__ import annotations

import pytest

from minirt.kernel.mounts import Attribute, Propagation, told
from minirt.runtime.mount_options import Options, parse


def test_options_are_sorted_by_whom_they_are_for() -> None:
    found = parse(("rbind", "ro", "nosuid", "rslave", "mode=755", "size=1k"))
    assert found == Options(
        add=Attribute.RDONLY | Attribute.NOSUID,
        propagation=Propagation.SLAVE,
        propagates_below=True,
        bind=True,
        recursive=True,
        own=("mode=755", "size=1k"),
    )


@pytest.mark.parametrize(
    ("texts", "add", "clear"),
    [
        (("ro", "rw"), Attribute.NONE, Attribute.RDONLY),
        (("rw", "ro"), Attribute.RDONLY, Attribute.NONE),
        (("noexec", "exec", "nodev"), Attribute.NODEV, Attribute.NOEXEC),
    ],
)
def test_the_later_option_wins(texts: tuple[str, ...], add: Attribute, clear: Attribute) -> None:
    found = parse(texts)
    assert (found.add, found.clear) == (add, clear)


@pytest.mark.parametrize("text", ["private", "slave", "shared", "unbindable"])
def test_propagation_is_told_from_its_recursive_form(text: str) -> None:
    assert not parse((text,)).propagates_below
    assert parse((f"r{text}",)).propagates_below
    assert parse((text,)).propagation == parse((f"r{text}",)).propagation


def test_recursive_attributes_are_kept_apart() -> None:
    found = parse(("rro", "rnoexec", "rdev"))
    assert found.add_below == Attribute.RDONLY | Attribute.NOEXEC
    assert found.clear_below == Attribute.NODEV
    assert (found.add, found.own) == (Attribute.NONE, ())


def test_relatime_is_no_recursive_option() -> None:
    assert parse(("relatime",)) == Options(clear=Attribute.ATIME)


def test_times_of_access_are_one_field_of_which_the_last_word_counts() -> None:
    assert parse(("noatime", "strictatime")) == Options(add=Attribute.STRICTATIME)
    assert parse(("noatime", "atime")) == Options(clear=Attribute.ATIME)


def test_an_option_with_a_comma_is_told_in_quotes_as_mount_wants_it() -> None:
    label = "context=system_u:object_r:container_file_t:s0:c1,c2"
    assert told(["mode=755", label]) == (
        'mode=755,context="system_u:object_r:container_file_t:s0:c1,c2"'
    )
