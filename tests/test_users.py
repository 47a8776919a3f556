from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.runtime import users
from minirt.runtime.users import User

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment:x:3:3::/comment:
www:x:33:33:www:/var/www:/sbin/nologin

broken:x:1000
toor:x:zero:0::/toor:/bin/sh
www:x:99:99:second:/second:/bin/sh
homeless:x:50:51:::/bin/sh
1234:x:44:44:a name of digits:/four:/bin/sh
"""
GROUP = """\
root:x:0:
www:x:33:
audio:x:29:www,homeless
video:x:44:www
broken:x
audio:x:77:root
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "image" / "etc").mkdir(parents=True)
    (tmp_path / "image" / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "image" / "etc" / "group").write_text(GROUP)
    fd = os.open(tmp_path / "image", os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, (0, 77), "/root")),
        ("root", User(0, 0, (0, 77), "/root")),
        ("www", User(33, 33, (33, 29, 44), "/var/www")),  # the first line wins
        ("www:", User(33, 33, (33, 29, 44), "/var/www")),
        ("33", User(33, 33, (33, 29, 44), "/var/www")),
        ("www:audio", User(33, 29, (29,), "/var/www")),  # an explicit group is the only one
        ("www:7", User(33, 7, (7,), "/var/www")),
        (":50", User(0, 50, (50,), "/root")),
        ("homeless", User(50, 51, (51, 29), "/")),
        ("1234", User(1234, 0, (0,), "/")),  # a number is never a name
        ("1234:50", User(1234, 50, (50,), "/")),
        ("2147483647", User(2**31 - 1, 0, (0,), "/")),
        ("00033", User(33, 33, (33, 29, 44), "/var/www")),
    ],
)
def test_a_user_is_who_docker_says(root: int, text: str, user: User) -> None:
    assert users.resolve(root, text) == user


def test_further_groups_come_last_and_once(root: int) -> None:
    assert users.resolve(root, "www:33", ["video", "29", "33"]).additional_gids == (33, 44, 29)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bob", "unable to find user bob: no matching entries in passwd file"),
        ("www:bob", "unable to find group bob: no matching entries in group file"),
        ("2147483648", "ids go from 0 to 2147483647"),
        ("4294967296", "ids go from 0 to 2147483647"),  # would be 0 in 32 bits
        ("9" * 5000, "ids go from"),
        ("0:4294967296", "ids go from"),
        ("-1", "unable to find user -1"),
        ("+1", "unable to find user +1"),
        ("1_0", "unable to find user 1_0"),
        ("٣", "unable to find user ٣"),  # a digit to int(), not to us
        ("0\n", "unable to find user 0\n"),
        ("user=1", "unable to find user user=1"),  # CVE-2026-30892: it was root
        ("user=0", "unable to find user user=0"),
        ("toor", "unable to find user toor"),  # its line makes no sense: it is not root
        ("www:0:0", "unable to find group 0:0"),
    ],
)
def test_a_user_who_is_nobody_is_refused(root: int, text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        users.resolve(root, text)
    assert why in str(error.value)


@pytest.mark.parametrize("text", ["user=1", "+0", "0\n", "-0", "0x1f", "toor", "0user"])
def test_who_reads_numbers_as_c_does_takes_them_for_root(root: int, text: str) -> None:
    """CVE-2026-30892, with its control: atoi(3), which knows no error."""
    assert ctypes.CDLL(None).atoi(text.encode()) == 0
    with pytest.raises(InvalidRequest, match="unable to find user"):
        users.resolve(root, text)


def test_without_the_files_numbers_still_work(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    assert users.resolve(fd, "5:6") == User(5, 6, (6,), "/")
    assert users.resolve(fd, "") == User(0, 0, (0,), "/")
    with pytest.raises(InvalidRequest):
        users.resolve(fd, "root")
    os.close(fd)


@pytest.mark.parametrize("weapon", ["fifo", "folder", "huge", "loop", "proc"])
def test_a_passwd_made_as_a_weapon_is_refused_at_once(
    root: int, tmp_path: Path, weapon: str
) -> None:
    file = tmp_path / "image" / "etc" / "passwd"
    file.unlink()
    if weapon == "fifo":
        os.mkfifo(file)
    elif weapon == "folder":
        file.mkdir()
    elif weapon == "huge":
        with file.open("wb") as sparse:
            sparse.truncate(1 << 30)
    elif weapon == "loop":
        file.symlink_to("passwd")
    else:
        (tmp_path / "image" / "fd").mkdir()
        file.symlink_to("/fd")
    start = time.monotonic()
    for text in ("www", "0", ""):
        with pytest.raises(InvalidRequest, match="Cannot read /etc/passwd of the image"):
            users.resolve(root, text)
    assert time.monotonic() - start < 1


def length_as_read(path: Path) -> int | None:
    """Read a file as one reads files; return how much there was, None if that doesn't end."""
    try:
        done = subprocess.run(["cat", path], capture_output=True, timeout=1, check=True)
    except subprocess.TimeoutExpired:
        return None
    return len(done.stdout)


def test_a_careless_reader_waits_for_ever_or_takes_it_all(tmp_path: Path) -> None:
    """The control for the test above."""
    plain, fifo, huge = (tmp_path / name for name in ("plain", "fifo", "huge"))
    plain.write_text(PASSWD)
    os.mkfifo(fifo)
    huge.touch()
    os.truncate(huge, users.LARGEST_FILE + 1)
    assert length_as_read(plain) == len(PASSWD)
    assert length_as_read(fifo) is None
    assert length_as_read(huge) == users.LARGEST_FILE + 1


def test_a_link_out_of_the_image_stays_inside(root: int, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("www:x:0:0::/host:\n")
    file = tmp_path / "image" / "etc" / "passwd"
    for target in ("../../passwd", str(tmp_path / "passwd")):
        file.unlink()
        file.symlink_to(target)
        assert "/host" in file.read_text()  # The control: so it is for whoever follows the link.
        with pytest.raises(InvalidRequest, match="unable to find user www"):
            users.resolve(root, "www")


def test_a_link_within_the_image_is_followed(root: int, tmp_path: Path) -> None:
    file = tmp_path / "image" / "etc" / "passwd"
    file.rename(tmp_path / "image" / "real")
    file.symlink_to("/real")
    assert users.resolve(root, "www").uid == 33


LINES = st.lists(
    st.lists(st.sampled_from(["", "www", "0", "33", "x", "-1", "+1", " 7 ", "1_0", "9" * 11, "\0"]))
)


@given(LINES, st.text())
def test_no_text_breaks_the_parsers(lines: list[list[str]], noise: str) -> None:
    text = "\n".join(":".join(fields) for fields in lines) + noise
    for one in users.parse_passwd(text):
        assert 0 <= one.uid <= users.HIGHEST and 0 <= one.gid <= users.HIGHEST
    for group in users.parse_group(text):
        assert 0 <= group.gid <= users.HIGHEST


@given(st.text(st.characters(blacklist_characters=":"), max_size=12))
def test_only_the_number_of_root_or_his_name_is_root(text: str) -> None:
    accounts, groups = list(users.parse_passwd(PASSWD)), list(users.parse_group(GROUP))
    try:
        found = users.find(text, accounts, groups)
    except InvalidRequest:
        return
    assert found.uid != 0 or text in ("", "root") or (set(text) == {"0"} and len(text) <= 10)
