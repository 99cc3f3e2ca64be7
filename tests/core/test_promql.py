"""PromQL with places for names: a name never becomes syntax, and a place stands only where it cannot."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.promql import LONGEST, parse

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text("\\\"'\n{}().|^$a", min_size=1, max_size=6)
)
GO = {"n": "\n", "\\": "\\", '"': '"', "'": "'"}


def strings(query):
    """The values of its quoted strings, by Go's rules: an independent reading of what was filled in."""
    found, at = [], 0
    while at < len(query):
        quote = query[at]
        if quote not in "\"'":
            at += 1
            continue
        at, value = at + 1, ""
        while query[at] != quote:
            assert query[at] != "\n"
            if query[at] == "\\":
                at += 1
                assert query[at] in {"n", "\\", quote}, query[at]
                value += GO[query[at]]
            else:
                value += query[at]
            at += 1
        found.append(value)
        at += 1
    return found


@given(NAMES)
def test_a_name_is_one_value_whatever_stands_in_it(name):
    filled = parse('a{x="{instance}", y=\'{group}\', z="z"} > 0').fill({"instance": [name], "group": [name]})
    assert strings(filled) == [name, name, "z"]
    assert filled.endswith("} > 0")


@given(st.lists(NAMES, min_size=1, max_size=5), NAMES)
def test_names_in_a_pattern_match_themselves_and_nobody_else(names, other):
    filled = parse('a{x=~"{peers}:9100"}').fill({"peers": names})
    (pattern,) = strings(filled)
    for name in names:
        assert re.fullmatch(pattern, f"{name}:9100")
    if other not in names:
        assert not re.fullmatch(pattern, f"{other}:9100")


def test_nobody_to_name_is_unseen_and_never_an_empty_pattern():
    query = parse('a{x=~"{peers}"}')
    for nobody in ([], [""]):
        answer = query.fill({"peers": nobody})
        assert isinstance(answer, Unseen)
        assert "{peers}" in answer.reason
    assert isinstance(query.fill({}), Unseen)


def test_a_query_does_not_grow_without_end():
    answer = parse('a{x=~"{peers}"}').fill({"peers": ["i" * 100] * (LONGEST // 100)})
    assert isinstance(answer, Unseen)


def test_a_query_without_places_stays_as_it_is():
    text = """sum(rate(x{a="b\\"{", c='}', d=`\\`}[5m])) by (z) # "comment"\n / 2"""
    assert parse(text).fill({}) == text


@pytest.mark.parametrize(
    "text",
    [
        "up{instance}",
        "up == {instance}",
        'label_replace(up, "a", "{instance}", "b", "c")',
        "up{a=`{instance}`}",
        'up # {a="{instance}',
        '"{group}"',
    ],
)
def test_a_place_stands_in_a_label_matcher_and_nowhere_else(text):
    with pytest.raises(BadInput, match="no value of a label"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        r'a{x="\{instance}"}',
        r'a{x="b\\\{instance}"}',
        r"a{x='\{instance}'}",
        r'a{x=~"\{peers}"}',
        r'a{x=~"\\{peers}"}',
        r'a{x!~"\\\\\\{instance}"}',
    ],
)
def test_a_backslash_before_a_place_escapes_no_name(text):
    with pytest.raises(BadInput, match="right after a backslash"):
        parse(text)


@given(NAMES)
def test_backslashes_in_pairs_stand_for_themselves(name):
    assert strings(parse(r'a{x="\\{instance}"}').fill({"instance": [name]})) == ["\\" + name]
    (pattern,) = strings(parse(r'a{x=~"\\\\{instance}"}').fill({"instance": [name]}))
    assert re.fullmatch(pattern, "\\" + name)


@pytest.mark.parametrize("text", ['x{a="b}', "x{a='b\n'}", 'x{a="b\\"}', "x{a=`b}", ""])
def test_what_is_no_query_is_refused(text):
    with pytest.raises(BadInput):
        parse(text)


def test_several_stand_only_in_a_pattern():
    with pytest.raises(BadInput, match="several"):
        parse('x{a="{peers}"}')


def test_the_same_question_about_the_peers():
    about = parse('e{i=~"{instance}", g="{group}"} / t{a=~"{address}:80"}').of_peers()
    names = {"instance": ["i-1"], "peers": ["i-2", "i-3"], "peer_addresses": ["192.0.2.2"], "group": ["web"]}
    assert about.fill(names) == 'e{i=~"(?:i-2|i-3)", g="web"} / t{a=~"192\\\\.0\\\\.2\\\\.2:80"}'


@pytest.mark.parametrize("text", ['up{a="{instance}"}', "up"])
def test_a_question_about_one_cannot_be_put_to_several(text):
    with pytest.raises(BadInput, match="peers"):
        parse(text).of_peers()
