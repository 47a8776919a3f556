"""Parsers that text of strangers reaches: any text is read or refused in a sentence, in fair time.

Growth is counted, not timed: the lines of Python that run for a text, and for one of twice and four
times its size. What C does within a line is not seen; test_patterns.py looks at the expressions of
``re``.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any

import dnslib
import pytest
from dnslib.label import DNSLabelError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minirt import errors, state
from minirt.container import logs, protocol, times, usage
from minirt.container.flags import devices, environment, limits, mounts, network
from minirt.container.templates import render
from minirt.images import changes, documents, names, tars
from minirt.kernel import cgroup_mounts, mount_info
from minirt.network import facts, lookup, port_syntax, question, resolv_conf
from minirt.oci.verbs import ps
from minirt.runtime import reader, seccomp_rules, users
from minirt.server import child

DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser, texts that it takes, and what grows in them."""

    read: Callable[[str], object]
    samples: tuple[str, ...]
    growing: tuple[tuple[str, str, str], ...] = ()  # before, what is repeated, after
    refusals: tuple[type[Exception], ...] = field(default=(errors.MinirtError,))


def raw(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def document(check: Callable[[dict[str, Any]], object]) -> Callable[[str], object]:
    return lambda text: check(documents.parse(raw(text), "document"))


def parsed(read: Callable[[Any], object]) -> Callable[[str], object]:
    """Read JSON as callers of minirt-oci do, who say what is wrong with it."""

    def both(text: str) -> object:
        try:
            found = state.parse_json(text)
        except ValueError as error:
            raise errors.InvalidRequest("no JSON", str(error)) from None
        return read(found)

    return both


DATA = {"A": "b", "L": [1, 2], "M": {"x": 1}}
CONFIG = (
    '{"ociVersion":"1.0.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["a"],"env":["A=b"],'
    '"user":{"uid":0,"gid":0,"umask":18}},"annotations":{"a":"b"},"mounts":[{"destination":"/x",'
    '"type":"tmpfs","source":"t","options":["ro"]}],"hooks":{"poststop":[{"path":"/x"}]},"linux":{'
    '"namespaces":[{"type":"pid"}],"sysctl":{"kernel.msgmax":"1"},"devices":[{"path":"/dev/x",'
    '"type":"c","major":1,"minor":2}],"resources":{"memory":{"limit":1000}},"maskedPaths":["/a"]}}'
)
SECCOMP = (
    '{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64"],'
    '"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,'
    '"op":"SCMP_CMP_EQ"}]}]}'
)
TEMPLATES = (
    "{{range $i, $e := .L}}{{$e}}{{else}}x{{end}}",
    '{{printf "%5d|%-q|%.2f|%x" 12 .A 1.5 .A}}',
    '{{if eq .A "b"}}x{{else if .L}}y{{end}}{{"\\u1234"}}{{`raw`}}',
    "{{- /* c */ -}}{{index .L 1}}{{slice .A 0 1}}{{json .}}{{len .A}}{{'a'}}{{1e5}}",
    '{{with $x := .A}}{{$x | upper | printf "%s"}}{{end}}{{join (split .A ",") "-"}}',
)

PARSERS = {
    "image name": Parser(
        names.parse,
        ("busybox:latest", "docker.io/library/a-b_c.d:1", "localhost:5000/x/y"),
        (("", "A", "!/x"), ("", "a.", "/x"), ("", "a-", "/x"), ("", "a/", "!"), ("a:", "1", "!")),
    ),
    "image configuration": Parser(
        document(lambda one: documents.check_config(one, 0)),
        (
            '{"os":"linux","config":{"Env":["A=b"],"ExposedPorts":{"80/tcp":{}},'
            '"Labels":{"a":"b"}}}',
        ),
        (
            ('{"config":{"Env":["a"', ',"b"', "]}}"),
            ('{"config":{"Labels":{"a":"b"', ',"c":"d"', "}}}"),
        ),
    ),
    "image index": Parser(
        document(documents.check_index),
        (f'{{"schemaVersion":2,"manifests":[{{"mediaType":"x","size":1,"digest":"{DIGEST}"}}]}}',),
        (
            (
                '{"schemaVersion":2,"manifests":[',
                f'{{"mediaType":"x","size":1,"digest":"{DIGEST}"}},',
                f'{{"mediaType":"x","size":1,"digest":"{DIGEST}"}}]}}',
            ),
        ),
    ),
    "image manifest": Parser(
        document(documents.check_manifest),
        (
            '{"schemaVersion":2,"layers":[],"config":{"mediaType":'
            f'"application/vnd.oci.image.config.v1+json","size":1,"digest":"{DIGEST}"}}}}',
        ),
    ),
    "change": Parser(
        lambda text: changes.apply({}, text),
        (
            'CMD ["a","b"]',
            'ENV a=b c="d e"',
            "EXPOSE 80-90/tcp",
            "VOLUME /a /b",
            "STOPSIGNAL 9",
            "WORKDIR /a/../b",
            "LABEL a=b",
            "USER me",
            "ENTRYPOINT x",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD true",
        ),
        (
            ("ENV ", "a=b ", ""),
            ("ENV a=", "'b' ", "'"),
            ("EXPOSE ", "80 ", ""),
            ("VOLUME ", "/a ", ""),
            ("WORKDIR ", "a/../", ""),
            ("CMD ", "[", ""),
            ("HEALTHCHECK --interval=", "9", " CMD x"),
            ("HEALTHCHECK --interval=", "1s", " CMD x"),
        ),
    ),
    "port": Parser(
        lambda text: port_syntax.parse([text]),
        ("127.0.0.1:8080-8090:80-90/udp", "target=80,published=90", "[::1]:1:2"),
        (("", "1:", "80"), ("", "8", ""), ("", "a=b,", "target=1"), ("[", ":", "]:1:2")),
    ),
    "environment": Parser(
        lambda text: environment.overridden(environment.variables((), [text], {}), ["A=b"]),
        ("A=b", "A"),
        (("A", "=", ""),),
    ),
    "label": Parser(lambda text: environment.labels((), [text]), ("a=b", "a")),
    "template": Parser(
        lambda text: render(text, DATA),
        TEMPLATES,
        (
            ("", "{{.A}}", ""),
            ("{{", "(", "}}"),
            ("", "{{if 1}}", ""),
            ("{{.A", ".B", "}}"),
            ("{{1", " | len", "}}"),
            ("{{/*", "*", ""),
            ('{{"', "\\", ""),
            ("{{", " ", ""),
            ('{{printf "', "%d", '" 1}}'),
            ('{{printf "%', "0", '"}}'),
            ("", "{{- 1 -}} ", ""),
        ),
    ),
    "log entry": Parser(
        lambda text: logs.parse(raw(text)), ('{"log":"a","stream":"stdout","time":"x"}',)
    ),
    "resolv.conf": Parser(
        lambda text: resolv_conf.render(text, "default"),
        ("nameserver 1.1.1.1\nsearch a b\noptions ndots:5\n; x\nsortlist y\n",),
        (
            ("", "nameserver 1.1.1.1\n", ""),
            ("search ", "a ", ""),
            ("", "search a\n", ""),
            ("options ", "ndots:1 ", ""),
            ("", "x y\n", ""),
        ),
    ),
    "lease": Parser(lambda text: facts.parse(raw(text)), ('{"container":"x","pid":1,"ports":[]}',)),
    "time": Parser(
        lambda text: times.since(text, "--since"),
        ("2026-11-24T08:00:00Z", "10m5s", "1790000000.5"),
        (("", "1", "x"), ("", "1s", ""), ("", ".1", ""), ("", "9", "")),
    ),
    "error of another process": Parser(
        lambda text: errors.unpack(raw(text)), ('["InvalidRequest","a","b","c"]',)
    ),
    "volume": Parser(
        mounts.volume, ("/tmp:/b:ro", "name:/c", "/tmp:/x:z,rro"), (("/a:/b:", "ro,", ""),)
    ),
    "mount": Parser(
        mounts.mount,
        ("type=bind,source=/tmp,target=/b,readonly", "type=tmpfs,target=/a,tmpfs-size=1m"),
        (("type=bind", ",readonly", ""),),
    ),
    "tmpfs": Parser(mounts.tmpfs, ("/a:size=1m,mode=755",), (("/a:", "ro,", "x"),)),
    "address of a link": Parser(
        lambda text: network.mac_address(text, "--mac-address"), ("02:00:00:00:00:01",)
    ),
    "device": Parser(devices.rule, ("c 1:3 rwm", "a *:* rwm")),
    "size": Parser(lambda text: limits.size(text, "--memory"), ("10m", "1.5g", "-1")),
    "seccomp profile": Parser(
        parsed(seccomp_rules.read),
        (SECCOMP,),
        (
            (
                '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[',
                '{"names":["read"],"action":"SCMP_ACT_ALLOW"},',
                '{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}',
            ),
        ),
    ),
    "config.json": Parser(parsed(reader.read), (CONFIG,)),
    "call of the server": Parser(
        lambda text: child._understood(raw(text), [0, 1, 2, 3]),
        ("4\x0018 0\x00\x001\x00ps\x00A=b",),
        (("4\x0018 0\x00\x001\x00ps", "\x00A=b", ""),),
        (ValueError,),
    ),
    "size of a terminal": Parser(
        lambda text: protocol.unpack_size(raw(text)), ("\0\x18\0P",), (), (struct.error,)
    ),
    "output of ps": Parser(
        lambda text: list(ps.only(io.StringIO(text, newline="\n"), {1})),
        ("UID PID CMD\nroot 1 sh\n",),
        (("PID\n", "1\n", ""),),
    ),
}
PIECES = (
    *("0", "9" * 40, "-1", "1e999", "NaN", "null", "true", "[", "]", "{", "}", '"', ":", ",", "/"),
    *("..", ".", "\0", "\r", "\n", "\x85", "\u2028", "\ud800", "\udc80", "é", "٣", "²", "%", "\\"),
    *("{{", "}}", "-", "_", " ", "=", "A" * 300, "9" * 5000, "\\ud800", "\\u0000", "(", ")", "|"),
    *("$", "`", "'", "%d", "%999999999999d", "%.99999f", "18446744073709551616", "9" * 20 + "h"),
)
EDITS = st.lists(
    st.tuples(
        st.integers(0, 400), st.integers(0, 6), st.sampled_from(PIECES) | st.text(max_size=4)
    ),
    max_size=4,
)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for place, gone, put in edits:
        at = place % (len(text) + 1)
        text = text[:at] + put + text[at + gone :]
    return text


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_text_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    sample = data.draw(st.sampled_from(parser.samples))
    text = data.draw(st.builds(edited, st.just(sample), EDITS) | st.text())
    try:
        parser.read(text)
    except parser.refusals:
        pass


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("depth", [100, 900, 5000, 20_000])
def test_however_deep_the_text_it_is_read_or_refused(name: str, depth: int) -> None:
    parser = PARSERS[name]
    for opening, closing in (("[", "]"), ('{"a":', "}"), ("(", ")"), ("{{if 1}}", "{{end}}")):
        for before, after in (
            ("", ""),
            ('{"os":', "}"),
            ('{"process":', "}"),
            ("{{", "}}"),
            ("CMD ", ""),
        ):
            try:
                parser.read(f"{before}{opening * depth}1{closing * depth}{after}")
            except parser.refusals:
                pass


SIZES = (200, 400, 800)


class TooManyLines(BaseException):
    """More lines have run than are needed to know that the work grows too fast."""


def lines_run(call: Callable[[], object], most: float = inf) -> int:
    """Return how many lines of Python run. Raises TooManyLines."""
    count = 0

    def each(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        if count > most:
            raise TooManyLines
        return each

    before = sys.gettrace()
    sys.settrace(each)
    try:
        call()
    except (errors.MinirtError, ValueError, dnslib.DNSError):
        pass
    finally:
        sys.settrace(before)
    return count


def grows_like_the_text(read: Callable[[int], object]) -> bool:
    """Say whether twice the text takes no more than twice the lines, and a few."""
    most = inf
    for n in SIZES:
        try:
            most = 2.3 * lines_run(lambda n=n: read(n), most) + 50  # type: ignore[misc]
        except TooManyLines:
            return False
    return True


GROWING = [(name, *shape) for name, parser in PARSERS.items() for shape in parser.growing]


@pytest.mark.parametrize(("name", "before", "repeated", "after"), GROWING)
def test_the_work_grows_no_faster_than_the_text(
    name: str, before: str, repeated: str, after: str
) -> None:
    read = PARSERS[name].read
    assert grows_like_the_text(lambda n: read(before + repeated * n + after))


def test_growth_is_seen() -> None:
    """The control."""

    def square(n: int) -> int:
        count = 0
        for _ in range(n):
            for _ in range(n):
                count += 1
        return count

    assert not grows_like_the_text(square)
    assert grows_like_the_text(lambda n: [None for _ in range(20 * n)])


# ---- files of images ---------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["a:x:1:1::/:\n", "a:\n", ":" * 8, "#\n", "x" * 8, "g:x:1:u\n"])
def test_accounts_of_an_image_are_read_once(tmp_path: Path, line: str) -> None:
    (tmp_path / "etc").mkdir()
    root = os.open(tmp_path, os.O_PATH)

    def read(n: int) -> None:
        for name in ("passwd", "group"):
            (tmp_path / "etc" / name).write_text(line * n + "u:x:7:7::/:\n")
        for user in ("u", "u:g", "7", "nobody"):
            with contextlib.suppress(errors.MinirtError):
                users.resolve(root, user, ["g", "8"])

    assert grows_like_the_text(read)
    os.close(root)


def member(name: str, **headers: str) -> bytes:
    one = tarfile.TarInfo(name)
    one.pax_headers = headers
    return one.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "archive",
    [
        lambda n: b"".join(member(f"d/f{i}") for i in range(n)),
        lambda n: member("f", **{f"SCHILY.xattr.user.k{i}": "v" for i in range(n)}),
        lambda n: member("f", **{"SCHILY.xattr.user.k": "v" * n}),
        lambda n: member("a/" * n),
        lambda n: member("f", **{"GNU.sparse.map": ",".join("1" * n), "GNU.sparse.major": "0"}),
        lambda n: b"".join(member(f".wh.{'x' * 50}{i}") for i in range(n)),
    ],
    ids=["files", "attributes", "an attribute", "a deep name", "a map of holes", "whiteouts"],
)
def test_an_archive_is_read_once(archive: Callable[[int], bytes]) -> None:
    def read(n: int) -> None:
        for entry in tars.entries(io.BytesIO(archive_of[n])):
            assert entry.xattrs is not None and entry.bytes_held >= 0

    archive_of = {n: archive(n) + bytes(1024) for n in SIZES}
    assert grows_like_the_text(read)


# ---- packets -----------------------------------------------------------------------------------

REPLY = dnslib.DNSRecord.question("web.example.org").reply()
for _kind, _data in (
    ("A", dnslib.A("192.0.2.1")),
    ("TXT", dnslib.TXT(b"abc")),
    ("MX", dnslib.MX("m.example.org", 5)),
    ("SOA", dnslib.SOA("a.b", "c.d", (1, 2, 3, 4, 5))),
    ("NAPTR", dnslib.NAPTR(1, 2, b"s", b"x", b"y", dnslib.DNSLabel("z"))),
):
    REPLY.add_answer(dnslib.RR("web.example.org", getattr(dnslib.QTYPE, _kind), rdata=_data, ttl=5))
ANSWER = bytes(REPLY.pack())
BYTES = st.tuples(st.integers(0, len(ANSWER)), st.integers(0, 4), st.binary(max_size=4))


def test_an_answer_is_read() -> None:
    status, records = lookup.read(ANSWER)
    assert status == "NOERROR"
    assert [(one.name, one.kind) for one in records[:2]] == [
        ("web.example.org.", "A"),
        ("web.example.org.", "TXT"),
    ]


@given(st.lists(BYTES, max_size=5))
@example([(0, 0, b""), (len(ANSWER), 0, b"")])
def test_whatever_a_server_answers_is_read_or_refused(edits: list[tuple[int, int, bytes]]) -> None:
    message = ANSWER
    for place, gone, put in edits:
        message = message[:place] + put + message[place + gone :]
    try:
        lookup.read(message)
    except (dnslib.DNSError, DNSLabelError, struct.error):
        pass
    try:
        question.read(message)
    except question.Malformed:
        pass
    assert question.answers_to(message, ANSWER, 12) in (True, False)


def chain(n: int, label: bytes) -> bytes:
    """Return an answer in which each name is a label, and a pointer to the name before."""
    message, previous = struct.pack("!6H", 1, 0x8180, 0, n, 0, 0), 0
    for _ in range(n):
        here = len(message)
        message += label + (struct.pack("!H", 0xC000 | previous) if previous else b"\0")
        message += struct.pack("!HHIH4s", 1, 1, 5, 4, b"\1\2\3\4")
        previous = here if here < 0x4000 else previous
    return message


@pytest.mark.parametrize("label", [b"\1a", b""])
def test_names_that_point_to_names_are_short(label: bytes) -> None:
    with pytest.raises(dnslib.DNSError, match="longer than 255 bytes"):
        lookup.read(chain(3000, label))
    assert grows_like_the_text(lambda n: lookup.read(chain(n, label)))
    assert len(lookup.read(chain(60, label))[1]) == 60


def test_a_careless_reader_follows_them_all() -> None:
    """The control: dnslib itself."""
    assert not grows_like_the_text(lambda n: dnslib.DNSRecord.parse(chain(n, b"\1a")))


# ---- what the kernel tells, with names that others have chosen ---------------------------------

# All but the blank, the tab, the line's end, "#" and the backslash, which the kernel writes as
# octal numbers, and "/".
NAMES = st.text(
    st.characters(exclude_characters="\0 \t\n\\#/", exclude_categories=["Cs"]), min_size=1
)


@given(NAMES)
@example("a\rb")
@example("a\x0b\x0c\x1c\x85\u2028b")
def test_a_mount_point_may_have_any_name(name: str) -> None:
    """Any user can make one, by FUSE."""
    lines = [
        "22 1 0:21 / / rw shared:1 - ext4 /dev/sda1 rw",
        f"23 22 0:22 / /home/{name} rw shared:9 - fuse.{name} {name} rw,user_id=1000",
        "24 22 0:23 / /sys/fs/cgroup rw shared:3 - cgroup2 cgroup2 rw",
    ]
    text = "".join(f"{line}\n" for line in lines)
    assert mount_info.sources_at("/", text) == ["/dev/sda1"]
    assert mount_info.around(f"/home/{name}/x", text).place == f"/home/{name}"
    (found,) = cgroup_mounts.parse(mount_info.lines(text))
    assert str(found.top) == "/sys/fs/cgroup"


@given(st.binary(min_size=1, max_size=15))
@example(b"\x1c\xff\x85")
def test_a_link_may_have_any_name_that_the_kernel_takes(name: bytes) -> None:
    name = bytes(one for one in name if one > 32 and one not in b"/:\xa0") or b"x"
    row = b" 7 " + b"0 " * 7 + b"9 " + b"0 " * 7 + b"\n"
    table = b"Inter-|\n face |\n    lo:" + row + name.rjust(6) + b":" + row
    assert usage.received_and_sent(table) == ((7, 9) if name != b"lo" else (0, 0))


def test_a_process_may_have_any_name() -> None:
    """Its name is in columns before the PID, and has blanks, or a carriage return."""
    shown = "COMMAND PID\nmy own 12\nx\r1 13\nsh 14\n"
    assert "".join(ps.only(io.StringIO(shown, newline="\n"), {14})) == "COMMAND PID\nsh 14\n"
