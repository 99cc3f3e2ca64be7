"""What two configuration files say differently: a table for every format, and what is the same stays the same."""

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from driftd.core.showable import FORMATS
from driftd.core.shown import LINES_LIMIT, MARK, VALUE_LIMIT
from driftd.edges.semantic import SemanticDiffer
from driftd.edges.semantic.reading import READERS

COSMETIC: dict[str, tuple] = {}


def compared(form: str, before: str, after: str):
    return SemanticDiffer().compare(form, before.encode(), after.encode())


def said(form: str, before: str, after: str) -> dict[str, tuple[str | None, str | None]]:
    return {one.path: (one.before, one.after) for one in compared(form, before, after).settings}


# format: (before, after, what it says otherwise); "¶" is a line feed, COSMETIC is no setting and known to be none.
CASES = {
    "sshd_config": [
        ("PermitRootLogin no¶", "PermitRootLogin yes¶", {"PermitRootLogin": ("no", "yes")}),
        ("permitrootlogin no¶Port 22¶", "# a¶Port 22¶PermitRootLogin   no¶", COSMETIC),
        ("PermitRootLogin no¶", "PermitRootLogin no¶PermitRootLogin yes¶", COSMETIC),  # the first one counts
        ("UsePAM no¶Include a¶Include b¶", "Include a¶UsePAM no¶Include b¶", None),  # a may say it first
        ("PermitRootLogin no¶", "PermitRootLogin yes¶PermitRootLogin no¶", {"PermitRootLogin": ("no", "yes")}),
        ("Port 22¶", "Port 22¶Port 2222¶", {"Port": ("22", "[22, 2222]")}),
        (
            "Match User a¶  X11Forwarding no¶",
            "Match User a¶  X11Forwarding yes¶",
            {"Match User a: X11Forwarding": ("no", "yes")},
        ),
        ("A b¶", "Match all¶A b¶", {"A": ("b", None), "Match all: A": (None, "b")}),
        ("Unheard a¶", "Unheard a¶Unheard b¶", {"Unheard": ("a", "[a, b]")}),
        ("Banner a b¶", "Banner  a   b¶", COSMETIC),
        ('Banner "a b"¶', 'Banner "a   b"¶', {"Banner": ('"a b"', '"a   b"')}),
        (
            "Include /x¶UsePAM yes¶",
            "UsePAM yes¶Include /x¶",
            {"UsePAM": ("yes", None), "UsePAM (before Include)": (None, "yes")},
        ),
        (
            "Match User a¶ A b¶Match User c¶ A d¶",
            "Match User c¶ A d¶Match User a¶ A b¶",
            {"the order of lines": ("Match User a, Match User c", "Match User c, Match User a")},
        ),
    ],
    "yaml": [
        ("a: {b: [1, 2]}¶c: x¶", "a: {b: [1, 3]}¶c: x¶", {"a.b[1]": ("2", "3")}),
        ("a: 1¶b: 2¶", "b:   2 # x¶a: 1¶", COSMETIC),
        ("a: no¶", 'a: "no"¶', COSMETIC),  # YAML 1.2
        ("a: 1¶", 'a: "1"¶', {"a": ("1", '"1"')}),
        ("a: true¶", "a: 1¶", {"a": ("true", "1")}),
        ("a: {}¶", "a: {b: {c: 1}}¶", {"a.b.c": (None, "1")}),
    ],
    "json": [
        ('{"a": [1, {"b": 2}]}', '{"a": [1, {"b": 3}]}', {"a[1].b": ("2", "3")}),
        ('{"a":1,"b":2}', '{"b": 2,¶ "a": 1}', COSMETIC),
        ('{"a": 1}', '{"a": "1"}', {"a": ("1", '"1"')}),
        ('{"a": 1}', '{"a": 1.0}', {"a": ("1", "1.0")}),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', None),
    ],
    "toml": [
        ("a = 1¶", "a = 2¶[b]¶c = 3¶", {"a": ("1", "2"), "b.c": (None, "3")}),
        ("a = 1¶b = 2¶", "# x¶b = 2¶a = 0x1¶", COSMETIC),
    ],
    "ini": [
        ("[a]¶b = c¶", "[a]¶b = d¶", {"[a] b": ("c", "d")}),
        ("[a]¶b=c¶[d]¶e=f¶", "; x¶[d]¶e = f¶¶[a]¶b: c¶", COSMETIC),
        ("[a]¶b = c¶", "[a]¶B = c¶", {"[a] b": ("c", None), "[a] B": (None, "c")}),
        ("[a]¶x¶", "[a]¶", {"[a] x": ("nothing", None)}),
    ],
    "keyvalue": [
        ("A=1¶B='x y'¶", 'B="x y"¶A=2¶', {"A": ("1", "2")}),
        ("A=1¶", "# x¶export A=1¶", COSMETIC),
        # Of a name that comes twice, each may do something: include a file, or start a program.
        ("include_dir = 'a'¶", "include_dir = '/tmp'¶include_dir = 'a'¶", {"include_dir": ("a", "[/tmp, a]")}),
        ("A=1¶", "A=1 /tmp/x¶A=1¶", None),
    ],
    "unit": [
        (
            "[Service]¶ExecStart=/a¶User=x¶",
            "[Service]¶ExecStart=/b¶User=x¶",
            {"[Service] ExecStart": ("/a", "/b")},
        ),
        ("[Service]¶ExecStart=/a \\¶  -b¶", "[Service]¶# c¶ExecStart = /a \\¶; d¶ -b¶", COSMETIC),
        ("[Unit]¶After=a b¶", "[Unit]¶After=b¶After=a¶", COSMETIC),
        ("[Service]¶User=a¶User=b¶", "[Service]¶User=b¶", COSMETIC),  # the last one counts
        (
            "[Service]¶ExecStart=/a¶",
            "[Service]¶ExecStart=/a¶ExecStart=¶ExecStart=/b¶",
            {"[Service] ExecStart": ("/a", "[(reset), /b]")},
        ),
        (
            '[Service]¶Environment=A=b "C=d"¶',
            "[Service]¶Environment=A=b C=e¶",
            {"[Service] Environment.C": ("d", "e")},
        ),
        ("[Service]¶ExecStartPre=/a¶ExecStartPre=/b¶", "[Service]¶ExecStartPre=/b¶ExecStartPre=/a¶", None),
        # Two backslashes are one backslash, and what follows is a line of its own.
        ("[Service]¶Restart=no¶", r"[Service]¶Restart=no \\¶ExecStartPre=/a¶Restart=no¶", None),
        ("[Service]¶Restart=no¶", r"[Service]¶Restart=no \¶ExecStartPre=/a¶Restart=no¶", COSMETIC),
        # What other files of the unit have set is gone.
        ("[Service]¶Environment=A=b¶", "[Service]¶Environment=¶Environment=A=b¶", None),
    ],
    "sysctl": [
        ("net.ipv4.ip_forward = 0¶", "net/ipv4/ip_forward=1¶", {"net.ipv4.ip_forward": ("0", "1")}),
        ("a.b = 1¶c.d = 2¶", "; x¶c.d=2¶a.b=3¶a.b=1¶", COSMETIC),
        ("a.* = 1¶a.b = 2¶", "a.b = 2¶a.* = 1¶", {"the order of lines": ("a.*, a.b", "a.b, a.*")}),
    ],
    "crontab": [
        ("17 * * * * root  cd /¶", "18 * * * * root cd /¶", {"job root cd /": ("17 * * * *", "18 * * * *")}),
        ("A=1¶* * * * * root x¶@daily root y¶", "A=1¶# z¶@daily root y¶* * * * *  root x¶", COSMETIC),
        ("", "* * * * * root curl http://x¶", {"job root curl http://x": (None, "* * * * *")}),
        # Which jobs a variable holds for; that a table without its last end of a line is not read; a quotation mark.
        ("* * * * * r x¶A=1¶* * * * * r y¶", "* * * * * r y¶A=1¶* * * * * r x¶", None),
        ("A='1'¶", "A='1¶", {"A": ("1", "'1")}),
        ("A='1'¶", 'A="1"¶', COSMETIC),
        ("A=1¶* * * * * root x¶", "* * * * * root x¶A=1¶", {"A": ("1", None), "A (after 1 jobs)": (None, "1")}),
    ],
    "passwd": [
        ("r:x:0:0::/:/bin/sh¶", "r:x:0:0::/:/bin/bash¶", {"r: shell": ("/bin/sh", "/bin/bash")}),
        (
            "r:x:0:0::/:/bin/sh¶",
            "r:x:0:0::/:/bin/sh¶e:x:0:0::/:/bin/sh¶",
            {"e": (None, '{password: x, uid: 0, gid: 0, comment: "", home: /, shell: /bin/sh}')},
        ),
        (
            "a:x:0:0::/:/bin/sh¶b:x:0:0::/:/bin/sh¶",
            "b:x:0:0::/:/bin/sh¶a:x:0:0::/:/bin/sh¶",
            {"the order of lines": ("a, b", "b, a")},
        ),
    ],
    "group": [
        ("sudo:x:27:a¶", "sudo:x:27:a,b¶", {"sudo: members[1]": (None, "b")}),
        ("sudo:x:27:a,b¶", "sudo:x:27:b,a¶", COSMETIC),
    ],
    "hosts": [
        ("127.0.0.1 localhost¶", "127.0.0.1\tlocalhost # x¶", COSMETIC),
        (
            "127.0.0.1 a¶",
            "127.0.0.1 a¶1.2.3.4 deb.debian.org¶",
            {"deb.debian.org": (None, "1.2.3.4"), "1.2.3.4 is called": (None, "deb.debian.org")},
        ),
        ("127.0.0.1 a b¶", "127.0.0.1 b a¶", {"127.0.0.1 is called": ("a", "b")}),
    ],
    "fstab": [
        ("/dev/a / ext4 ro 0 1¶", "/dev/a / ext4 rw 0 1¶", {"/: options": ("ro", "rw")}),
        ("/dev/a / ext4 ro¶", "# x¶/dev/a  /  ext4 ro 0 0¶", COSMETIC),
        ("a /a x ro¶b /b x ro¶", "b /b x ro¶a /a x ro¶", {"the order of lines": ("/a, /b", "/b, /a")}),
    ],
}


@pytest.mark.parametrize(
    ("form", "before", "after", "expected"), [(form, *case) for form, cases in CASES.items() for case in cases]
)
def test_what_it_says_otherwise(form: str, before: str, after: str, expected: dict | None):
    before, after = before.replace("¶", "\n"), after.replace("¶", "\n")
    made = compared(form, before, after)
    if expected is None:
        assert made.settings
    else:
        assert said(form, before, after) == expected
    assert made.cosmetic == (expected is COSMETIC)
    assert made.lines or expected is COSMETIC


def test_every_format_that_is_read_has_its_cases():
    assert set(CASES) == set(READERS) == set(FORMATS) - {"text", "pam"}


UNREADABLE = {
    "sshd_config": "PermitRootLogin\n",
    "yaml": "a: &x [1]\nb: *x\n",
    "json": '{"a": 1, "a": 2}',
    "toml": "a = \n",
    "ini": "[a]\nb = c\nb = d\n",
    "keyvalue": "A=$(id)\n",
    "unit": "User=x\n",
    "sysctl": "what\n",
    "crontab": "* * *\n",
    "passwd": "a:x\n",
    "group": "a:x:1:\na:x:1:\n",
    "hosts": "1.2.3.4\n",
    "fstab": "a\n",
}


@pytest.mark.parametrize("form", sorted(READERS))
def test_what_it_cannot_read_is_compared_line_by_line_and_never_cosmetic(form: str):
    made = compared(form, UNREADABLE[form], UNREADABLE[form] + "\n# x\n")
    assert made.settings == ()
    assert not made.cosmetic
    assert "+# x" in made.lines
    assert form in made.note


def test_text_is_never_cosmetic():
    made = compared("text", "a\n", "a \n")
    assert (made.cosmetic, made.lines, made.note) == (False, ("@@ -1 +1 @@", "-a", "+a "), "")


@pytest.mark.parametrize("form", ["sshd_config", "unit", "yaml", "keyvalue"])
def test_what_was_taken_out_is_never_cosmetic(form: str):
    before = {"sshd_config": "A MARK\n", "unit": "[Service]\nUser=MARK\n", "yaml": "a: MARK\n", "keyvalue": "A=MARK\n"}
    text = before[form].replace("MARK", MARK)
    made = compared(form, text, "# x\n" + text)
    assert not made.settings
    assert not made.cosmetic
    assert "withheld" in made.note
    # In a comment it is a comment.
    assert compared("sshd_config", f"# {MARK}\nA b\n", "A b\n").cosmetic


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("yaml", "#cloud-config"),
        ("keyvalue", "#!/bin/sh"),
        ("crontab", "#!/usr/bin/env x"),
        ("yaml", "## template: jinja"),
    ],
)
def test_a_first_line_that_is_obeyed_is_no_comment(form: str, first: str):
    body = "A=1\n" if form == "keyvalue" else "a: 1\n" if form == "yaml" else "* * * * * root x\n"
    assert not compared(form, f"{first}\n{body}", body).cosmetic
    assert compared(form, f"# plain\n{body}", body).cosmetic


PLAIN = st.text("abcxyz019_./-", min_size=1, max_size=8).filter(lambda text: text[0].isalpha())
TREES = st.recursive(
    PLAIN | st.integers(-1000, 1000) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(PLAIN, TREES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_documents_that_say_the_same_are_cosmetic(tree: dict, chance: random.Random):
    def shuffled(value):
        if isinstance(value, dict):
            items = list(value.items())
            chance.shuffle(items)
            return {key: shuffled(inner) for key, inner in items}
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    before, after = json.dumps(tree), json.dumps(shuffled(tree), indent=chance.choice([1, 2, 4]))
    for form in ("json", "yaml"):
        made = compared(form, before, after + "\n")
        assert made.cosmetic
        assert made.settings == ()


@given(st.dictionaries(PLAIN, TREES, min_size=1, max_size=4), st.dictionaries(PLAIN, TREES, min_size=1, max_size=4))
def test_documents_that_say_something_else_never_are(one: dict, other: dict):
    made = compared("json", json.dumps(one), json.dumps(other))
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert made.cosmetic == same
    assert bool(made.settings) != same


FIELDS = st.dictionaries(st.sampled_from(["UsePAM", "Port", "PermitRootLogin", "Banner"]), PLAIN, min_size=1)


@given(FIELDS, FIELDS, st.lists(st.sampled_from(["# a", "", "   ", "\t# b"]), max_size=4))
def test_lines_of_fields_are_the_same_just_when_their_fields_are(one: dict, other: dict, noise: list[str]):
    forms = {
        "sshd_config": lambda fields: [f"{name} {value}" for name, value in fields.items()],
        "sysctl": lambda fields: [f"{name} = {value}" for name, value in fields.items()],
        "unit": lambda fields: ["[X]", *(f"{name}={value}" for name, value in fields.items())],
    }
    for form, write in forms.items():
        after = "\n".join([*noise, *write(dict(reversed(other.items()))), *noise])
        made = compared(form, "\n".join(write(one)), after)
        assert made.cosmetic == (one == other)


@given(st.sampled_from(FORMATS), st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_a_file_says_raises(form: str, before: str, after: str):
    made = compared(form, before, after)
    assert len(made.lines) <= LINES_LIMIT + 1
    if before == after:
        assert not made.settings


HOSTILE = {
    "deep": ("yaml", "a: " + "[" * 10000, "a: 1"),
    "deep-json": ("json", "[" * 10000 + "]" * 10000, "[]"),
    "deep-toml": ("toml", "a = " + "[" * 10000, "a = 1"),
    "bomb": ("yaml", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "a: 1"),
    "wide": ("json", json.dumps(list(range(8000))), json.dumps(list(range(1, 8001)))),
    "long-yaml": ("yaml", "".join(f"k{i}: {i}\n" for i in range(4000)), "a: 1\n"),
    "alike": ("text", "a\nb\n" * 8000, "b\na\n" * 8000),
    "one-line": ("text", "x" * 65536, "y" * 65536),
    "number": ("json", "1" * 60000, "2" * 60000),
    "sections": ("ini", "[a]\n" * 9000, "[b]\n" * 9000),
    "jobs": ("crontab", "* * * * * x\n" * 5000, "* * * * * y\n" * 5000),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_made_to_take_long_does_not(name: str):
    form, before, after = HOSTILE[name]
    began = time.monotonic()
    made = compared(form, before, after)
    assert time.monotonic() - began < 10
    assert made.lines
    assert len(made.lines) <= LINES_LIMIT + 1
    assert all(len(line) <= VALUE_LIMIT + 1 for line in made.lines)
    assert all(len(part or "") <= VALUE_LIMIT + 1 for one in made.settings for part in (one.before, one.after))


def test_a_comparison_line_by_line_counts_lines_from_the_beginning():
    before = "".join(f"{number}\n" for number in range(200))
    made = compared("text", before, before.replace("\n150\n", "\nx\n"))
    assert made.lines == ("@@ -148,7 +148,7 @@", " 147", " 148", " 149", "-150", "+x", " 151", " 152", " 153")


def test_a_yaml_document_as_its_own_library_writes_it():
    text = "a:\n- b: 1 # one\n  c: [x, y]\n"
    assert YAML(typ="safe").load(text) == {"a": [{"b": 1, "c": ["x", "y"]}]}
    assert said("yaml", text, text.replace("y]", "z]")) == {"a[0].c[1]": ("y", "z")}


@pytest.mark.parametrize("odd", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u00a0", "\u2028"])
@pytest.mark.parametrize("form", ["sshd_config", "crontab", "unit", "ini", "hosts"])
def test_a_line_ends_where_programs_see_it_end(form: str, odd: str):
    """Else a setting could stand in what is a comment to us alone, or the other way round."""
    body = {"sshd_config": "A b\n", "crontab": "* * * * * x\n", "unit": "[X]\n", "ini": "[a]\n", "hosts": "1.2.3.4 a\n"}
    assert not compared(form, body[form], f"# a{odd}B c\n{body[form]}").cosmetic
    assert not compared(form, body[form], f"{odd}# a\n{body[form]}").cosmetic
