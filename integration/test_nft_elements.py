"""One element of a set, asked for without libnftables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minirt.kernel import nft_elements, nft_messages, nftables
from minirt.kernel.nft_elements import Element, mark_key, name_key
from minirt.kernel.nft_messages import Part

LONGEST = "a" * 15  # IFNAMSIZ, without the zero at its end


@pytest.fixture(params=["inet", "ip", "bridge"])
def table(request: pytest.FixtureRequest) -> Iterator[str]:
    yield (name := f"{request.param} tried")
    nftables.run(f"delete table {name}")


def has(table: str, name: str, key: Part) -> bool:
    return nft_elements.has(Element(table, name, (key,)))


def test_it_is_there_or_not(table: str) -> None:
    assert not has(table, "names", name_key("br-one"))  # no table
    nftables.run(f"add table {table}")
    assert not has(table, "names", name_key("br-one"))  # no set
    nftables.run(f"add set {table} names {{ type ifname; }}")
    nftables.run(f"add set {table} marks {{ type mark; }}")
    assert not has(table, "names", name_key("br-one"))
    nftables.run(f"add element {table} names {{ br-one, {LONGEST} }}")
    nftables.run(f"add element {table} marks {{ 0xfedcba98, 7 }}")
    assert has(table, "names", name_key("br-one"))
    assert has(table, "names", name_key(LONGEST))
    assert not has(table, "names", name_key("br-on"))
    assert has(table, "marks", mark_key(0xFEDCBA98))
    assert has(table, "marks", mark_key(7))
    assert not has(table, "marks", mark_key(8))
    nftables.run(f"delete element {table} names {{ br-one }}")
    assert not has(table, "names", name_key("br-one"))


def test_each_answer_is_that_to_its_question(table: str) -> None:
    nftables.run(f"add table {table}; add set {table} marks {{ type mark; }}")
    for number in range(20):
        assert not has(table, "marks", mark_key(number))
        nftables.run(f"add element {table} marks {{ {number} }}")
        assert has(table, "marks", mark_key(number))


def test_what_else_keeps_from_asking_is_told(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nftables.run(f"add table {table}; add set {table} marks {{ type mark; }}")
    monkeypatch.setattr(nft_messages, "_ABSENT", frozenset())
    with pytest.raises(FileNotFoundError, match="can't be asked"):
        has(table, "marks", mark_key(1))
