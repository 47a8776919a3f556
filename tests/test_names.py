"""Names of containers: claimed, taken back, and taken along to the end (container/names.py)."""

from __future__ import annotations

import pytest

from minirt.container import names, record
from minirt.state import made, root_dir

OWN, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def containers() -> None:
    for one in (OWN, OTHER):
        made(record.directory(one) / "upper")


def owned() -> list[str]:
    return sorted(names.owned())


def test_a_name_is_taken_back_by_whose_it_is() -> None:
    names.claim("web", OWN)
    assert not names.release("web", OTHER)
    assert owned() == ["web"]
    assert names.release("web", OWN)
    assert owned() == []
    assert not names.release("web", OWN)


def test_at_the_end_it_goes_along_with_the_folder() -> None:
    names.claim("web", OWN)
    assert not names.take_along("web", OTHER)
    assert names.take_along("web", OWN)
    assert owned() == []
    assert str((record.directory(OWN) / "name").readlink()) == OWN
    assert not names.take_along("web", OWN)
    names.claim("web", OTHER)  # It is free at once.


def test_where_the_folder_has_gone_it_is_taken_back_all_the_same() -> None:
    names.claim("web", OWN)
    record.directory(OWN).rename(root_dir() / "elsewhere")
    assert names.take_along("web", OWN)
    assert owned() == []
