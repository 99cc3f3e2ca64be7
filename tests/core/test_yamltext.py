"""YAML that a person wrote: every mistake is one sentence with file and line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.errors import BadInput
from driftd.yamltext import DEPTH_LIMIT, SIZE_LIMIT, VALUES_LIMIT, parse


def refused(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse(text, "file.yaml")
    return str(caught.value)


def test_values_are_plain_and_know_their_lines():
    document = parse("a: 1\nb:\n  - x\n  - {c: true}\n", "file.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": True}]}
    assert document.line(("b", 1, "c")) == 4
    assert document.line(("b", 0)) == 3
    assert document.line(("b", 7, "nothing")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", 'file.yaml:2: found duplicate key "a"'),
        ("a: &x 1\nb: *x\n", "file.yaml:1: anchors and aliases are not read here"),
        ("a:\n  - !!python/name:os.system x\n", "file.yaml:2: the tag tag:yaml.org,2002:python/name:os.system"),
        ("a: [1\n", "file.yaml:2: not YAML"),
        ("\ta: 1\n", "file.yaml:1: not YAML"),
        ("1: a\n", "file.yaml:1: the key 1 is not text"),
        ("[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1), "nested deeper than"),
        ("a: " + "x" * SIZE_LIMIT, "more than a document may have"),
        ("a: 1\n---\nb: 2\n", "file.yaml:2: not YAML"),
        ("- x\n" * (VALUES_LIMIT + 1), f"a document has at most {VALUES_LIMIT} values"),
        ("[" * 100_000, "file.yaml:1: nested deeper than"),
        ("{a: " * 100_000, "file.yaml:1: nested deeper than"),
        ("a: 1\nb: 2026-13-01\n", "file.yaml:2: not YAML: month must be in 1..12"),
        ("a: 1\nb: " + "9" * 5000 + "\n", "file.yaml:2: not YAML: Exceeds the limit"),
        ("a: &a [*a]\n", "file.yaml:1: anchors and aliases are not read here"),
        ("<<: {a: 1}\n", "file.yaml:1: '<<' merges, and is not read here"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(text: str, said: str):
    assert said in refused(text)
    assert "\n" not in refused(text)


def test_a_day_is_text():
    assert parse("a: 2026-01-31\n", "file.yaml").value == {"a": "2026-01-31"}


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str):
    with contextlib.suppress(BadInput):
        parse(text, "file.yaml")
