"""Label matchers: read as people write them, written in one spelling, and no value is ever syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.errors import BadInput
from driftd.core.matchers import OPERATORS, Matcher, for_group, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('severity="critical"', [("severity", "=", "critical")]),
        ("severity=critical", [("severity", "=", "critical")]),
        ('{severity = "critical", team!~"a|b" ,}', [("severity", "=", "critical"), ("team", "!~", "a|b")]),
        ('a=~"x", b!="y"', [("a", "=~", "x"), ("b", "!=", "y")]),
        ('a="say \\"hi\\" \\\\ \\n"', [("a", "=", 'say "hi" \\ \n')]),
        ('a=""', [("a", "=", "")]),
    ],
)
def test_it_is_read_as_people_write_it(text, read):
    assert [(one.name, one.op, one.value) for one in parse(text)] == read


@pytest.mark.parametrize(
    "text",
    ["", "  ", "{}", "{,}", "severity", "severity=", 'a="b', 'a="b" c="d"', ",a=b", "a=b,,c=d", 'a=="b"', '1a="b"'],
)
def test_what_is_no_list_of_matchers_is_refused_and_an_empty_one_too(text):
    with pytest.raises(BadInput, match="no list of label matchers"):
        parse(text)


def test_what_would_be_endless_is_refused():
    with pytest.raises(BadInput):
        parse(",".join(f"a{number}=b" for number in range(1000)))


@given(
    st.lists(st.tuples(st.sampled_from(["a", "_b", "c1"]), st.sampled_from(OPERATORS), TEXT), min_size=1, max_size=4)
)
def test_its_one_spelling_reads_back(found):
    wanted = tuple(Matcher(*one) for one in found)
    assert parse(", ".join(map(str, wanted))) == wanted


def test_the_groups_name_is_escaped_where_it_is_a_pattern():
    literal, pattern = for_group(parse('a="{group}", b=~"{group}-.*"'), "web.eu+1")
    assert literal.value == "web.eu+1"
    assert pattern.value == r"web\.eu\+1-.*"


def test_only_what_certainly_differs_is_denied():
    labels = {"severity": "page"}
    assert not Matcher("severity", "=", "page").denies(labels)
    assert Matcher("severity", "=", "info").denies(labels)
    assert Matcher("severity", "!=", "page").denies(labels)
    assert not Matcher("team", "=", "").denies(labels)
    assert not Matcher("severity", "=~", "info").denies(labels)
