from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minirt.container.templates import render
from minirt.container.templates.json_text import dumped
from minirt.container.templates.structs import NIL_LIST, NIL_MAP, NIL_POINTER, struct
from minirt.container.templates.values import Fields, OpenMap
from minirt.errors import InvalidRequest

DATA: dict[str, Any] = {
    "Id": "abc",
    "Name": "/web",
    "Nothing": None,
    "State": {"Status": "running", "Pid": 12, "Paused": False},
    "Config": {"Labels": OpenMap(a="b"), "Cmd": ["sh", "-c", "x y"]},
    "NetworkSettings": {
        "Networks": OpenMap(
            {"net1": {"IPAddress": "10.0.0.2"}, "bridge": {"IPAddress": "172.17.0.2"}}
        ),
        "Ports": OpenMap({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "77/tcp": None}),
    },
    "Mounts": [],
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("plain", "plain"),
        ("{{.Id}}", "abc"),
        ("{{ .State.Status }}/{{.State.Pid}}/{{.State.Paused}}", "running/12/false"),
        ("{{.Config.Cmd}}", "[sh -c x y]"),
        ("{{.State}}", "map[Paused:false Pid:12 Status:running]"),
        ("{{.Nothing}}", "<no value>"),
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", "172.17.0.2 10.0.0.2 "),
        ("{{range $k,$v := .NetworkSettings.Networks}}{{$k}} {{end}}", "bridge net1 "),
        ("{{range $i, $e := .Config.Cmd}}{{if $i}}, {{end}}{{$e}}{{end}}", "sh, -c, x y"),
        ("{{range .Mounts}}{{.}}{{else}}none{{end}}", "none"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Config.Cmd}}{{if eq . \"-c\"}}{{continue}}{{end}}{{.}};{{end}}", "sh;x y;"),
        ("{{range .Config.Cmd}}{{if eq . \"-c\"}}{{break}}{{end}}{{.}};{{end}}", "sh;"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ('{{index .Config.Labels "a"}}{{index .Config.Labels "z"}}', "b"),
        ("{{.Config.Labels.z}}", "<no value>"),
        ("{{len .Config.Cmd}}{{len .Name}}", "34"),
        ('{{join .Config.Cmd ","}}', "sh,-c,x y"),
        ("{{json .Config.Cmd}}", '["sh","-c","x y"]'),
        ("{{.Id | upper | printf \"%q\"}}", '"ABC"'),
        ('{{printf "%-5s|%5d|%05d|%v|%%" .Id 12 7 .Mounts}}', "abc  |   12|00007|[]|%"),
        ('{{printf "%d %s" "x"}}', "%!d(string=x) %!s(MISSING)"),
        ('{{printf "" 1}}', "%!(EXTRA int=1)"),
        ("{{print 1 2 \"a\" 3}}{{println 1 \"b\"}}", "1 2a31 b\n"),
        ("{{if .Mounts}}a{{else if .Nothing}}b{{else}}c{{end}}", "c"),
        ("{{if and .Id (eq .Name \"/web\")}}yes{{end}}", "yes"),
        ("{{with .State}}{{.Status}}{{end}}{{with .Nothing}}x{{else}}y{{end}}", "runningy"),
        ("{{with .Nothing}}x{{else with .State}}{{.Pid}}{{end}}", "12"),
        ("{{with $s := .State}}{{$s.Pid}}{{$.Id}}{{end}}", "12abc"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
        ("{{not .Nothing}} {{or .Nothing \"d\"}} {{and .Id 0}}", "true d 0"),
        ("{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2.5 2}}",
         "true true true true false true"),
        ("a {{- .Id -}} b", "aabcb"),
        ("a\n{{- /* said nothing */ -}}\nb", "ab"),
        ("{{`raw\\n`}}{{\"a\\tb\\x41\\u00e9\"}}{{'a'}}", "raw\\na\tbAé97"),
        ("{{1e3}} {{0x10}} {{-5}} {{1.5}}", "1000 16 -5 1.5"),
        ("{{title \"ab cd\"}} {{lower \"AB\"}} {{slice .Id 1 2}} {{slice .Id 1}}", "Ab Cd ab b bc"),
        ("{{range split \"a,b\" \",\"}}[{{.}}]{{end}}", "[a][b]"),
        ("{{pad \"x\" 1 2}}|{{truncate \"long\" 2}}", " x  |lo"),
        ("{{html \"<a&b>\"}} {{urlquery \"a b\"}}", "&lt;a&amp;b&gt; a+b"),
    ],
)  # fmt: skip
def test_templates_print_what_go_prints(template: str, printed: str) -> None:
    assert render(template, DATA) == printed


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{.Foo}}", ':1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("a\n{{.State.Foo}}", ':2:8: executing "" at <.State.Foo>: map has no entry for key'),
        ("{{.Id.X}}", ':1:5: executing "" at <.Id.X>: can\'t evaluate field X in type string'),
        ("{{.Nothing.X}}", "nil pointer evaluating interface {}.X"),
        ("{{index .Mounts 5}}", "<index .Mounts 5>: error calling index: index out of range: 5"),
        ('{{index .Mounts "x"}}', "cannot index slice/array with type string"),
        ("{{len 3}}", "error calling len: len of type int"),
        ("{{eq .Id 3}}", "error calling eq: incompatible types for comparison"),
        ("{{range .Id}}{{end}}", "range can't iterate over abc"),
        ('{{.Id "x"}}', "Id has arguments but cannot be invoked as function"),
        ("{{upper 3}}", "wrong arguments for upper: int"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{.Id", "template: :1: unclosed action"),
        ('{{"abc}}', "unterminated quoted string"),
        ("{{/* x }}", "unclosed comment"),
        ("{{if .Id}}", "unexpected EOF"),
        ("{{if .Id}}{{else}}{{else}}{{end}}", "unexpected {{else}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value for command"),
        ("{{if}}{{end}}", "missing value for if"),
        ("{{(.Id}}", "unclosed left paren"),
        ("{{$y}}", 'undefined variable "$y"'),
        ("{{range $x := .Mounts}}{{end}}{{$x}}", 'undefined variable "$x"'),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{.Id | 3}}", "non executable command in pipeline stage 2"),
        ('{{"a" 1}}', 'can\'t give argument to non-function "a"'),
        ("{{1x}}", 'bad number syntax: "1x"'),
        ("{{.Id}}\n{{\\}}", 'template: :2: unexpected "\\" in operand'),
        ('{{template "x"}}', "{{template}} is not supported"),
    ],
)
def test_what_does_not_fit_is_said_in_gos_words(template: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        render(template, DATA)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("template parsing error: template: :")


def test_a_field_that_is_a_function_is_called_only_when_it_is_asked_for() -> None:
    calls: list[str] = []

    def costly() -> str:
        calls.append("called")
        return "1MB"

    row = Fields(ID="abc", Size=costly)
    assert render("{{.ID}}", row) == "abc"
    assert not calls
    assert render("{{.Size}} {{json .}}", row) == '1MB {"ID":"abc","Size":"1MB"}'


def test_rows_have_labels_and_name_their_type() -> None:
    class Row(Fields):
        go_type = "*formatter.ContainerContext"

    row = Row(ID="abc")
    row.labels = {"a": "b"}
    assert render('{{.Label "a"}}{{.Label "z"}}', row) == "b"
    with pytest.raises(InvalidRequest, match=r"field Foo in type \*formatter.ContainerContext"):
        render("{{.Foo}}", row)


@given(JSON)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    assert json.loads(render("{{json .}}", value)) == value


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    assert render(text, {}) == text


@given(st.text(alphabet="{}.|$()\"ab1 :=,-/*`'\\\nifendrange", max_size=30), JSON)
def test_any_template_prints_or_is_refused(template: str, data: Any) -> None:
    try:
        render("{{" + template + "}}{{end}}", data)
    except InvalidRequest as error:
        assert "template" in str(error)


@given(st.text())
def test_strings_in_gos_quotes_mean_themselves(text: str) -> None:
    quoted = json.dumps(text, ensure_ascii=False).replace("\\/", "/")
    assert render("{{" + quoted + "}}", None) == text


STRUCT = struct(
    {"Id": "abc", "Health": NIL_POINTER, "Env": NIL_LIST, "Labels": NIL_MAP, "On": False},
    omit_empty=("Health", "On"),
)


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{.}}", "{abc <nil> [] map[] false}"),
        ("{{json .}}", '{"Id":"abc","Env":null,"Labels":null}'),
        ("{{.ID}} {{.Health}} {{.On}} {{json .Health}}", "abc <nil> false null"),
        ('{{len .Env}}{{join .Env ","}}{{range .Env}}x{{else}}none{{end}}', "0none"),
        ("{{if .Health}}a{{else}}b{{end}}{{with .Labels}}c{{end}}{{not .Env}}", "btrue"),
        ('{{printf "%v %v" .Env .Health}} {{println .Labels}}', "[] <nil> map[]\n"),
        ('{{index .Labels "x"}}|{{slice .Env 0}}{{or .Env "d"}}', "|[]d"),
    ],
)
def test_structs_and_nils_print_as_in_go(template: str, printed: str) -> None:
    assert render(template, STRUCT) == printed


@pytest.mark.parametrize("template", ["{{.Nope}}", "{{.Health.Status}}", "{{index .Env 0}}"])
def test_a_nil_has_no_fields_and_no_elements(template: str) -> None:
    with pytest.raises(InvalidRequest):
        render(template, STRUCT)


@given(st.dictionaries(st.text(), st.text()))
@example({"\x7f\x9b2J\u202e\U000e0041\ud800": "\n"})
def test_json_is_printable_and_read_back_as_it_was(document: dict[str, str]) -> None:
    for text in (dumped(document), dumped(document, indent=4).replace("\n", "")):
        assert text.isprintable()
        assert json.loads(text) == document
    assert render("{{json .}}", document) == dumped(document)
