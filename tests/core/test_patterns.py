"""No pattern of a policy can be made slow by what a file holds."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.patterns import why_not

FINE = [
    "",
    r"[0-9]+\n?",
    r"(?:#[^\n]*\n|deb(?:-src)? (?:\[signed-by=[^\s\]]+\] )?https?://[\w./-]+ [\w./-]+(?: [\w-]+)*\n|\n)*",
    r"PasswordAuthentication (?:yes|no)\n",
    r"(?:[a-z_][a-z0-9_-]*:[1-9][0-9]{4,8}:65536\n)*",
    r"(?i)enabled=(?:true|false)",
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
    r"key = .*\n",
    r"(?:a*b)*",
    r"(?:a|ab)c",
    r"[a-z]+?=[^\n]*",
    r"(?#hostname)\n",
    r"(?:127\.0\.0\.1 (?#hostname)\n)*",
    r"(?s:x.)y",
]
SLOW = {
    r"(a+)+b": "a part of it that repeats",
    r"(a*)*": "repeats what can match nothing",
    r"(a|a)*": "match nothing in two ways",
    r"(?:a?){30}a{30}": "repeats what can match nothing",
    r".*x": "'x' in two ways",
    r"[a-z]*[a-m]*": "in two ways",
    r"(?:\w+\s?)*": "a part of it that repeats",
    r"(x+x+)+y": "in two ways",
    r"(?i)[a-z]*A": "in two ways",
    r"(?:(?#hostname))*(?#hostname)": "the instance's name in two ways",
    r"a{5000}": "more than 4096 parts",
    r"(?:a{0,100}b){0,1000}": "more than 4096 parts",
}
REFUSED = {
    r"^a$": "anchor",
    r"(a)b\1": "refers back",
    r"(?=a)a": "looks ahead",
    r"(?<!b)a": "looks ahead or behind",
    r"(?>a)": "older Pythons",
    r"a++": "older Pythons",
    r"(": "no regular expression",
    r"[z-a]": "no regular expression",
    "(" * 2000 + ")" * 2000: "",
}


@pytest.mark.parametrize("pattern", FINE)
def test_fine(pattern):
    assert why_not(pattern) == ""


@pytest.mark.parametrize("pattern", [*SLOW, *REFUSED], ids=lambda text: text[:30])
def test_refused(pattern):
    before = time.perf_counter()
    why = why_not(pattern)
    assert {**SLOW, **REFUSED}[pattern] in why
    assert why
    assert "\n" not in why
    assert time.perf_counter() - before < 2


ATOMS = st.sampled_from(["a", "b", "[ab]", ".", "c", "\\n"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inside: st.one_of(
        st.tuples(inside, inside).map("".join),
        st.tuples(inside, inside).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inside, st.sampled_from(["*", "+", "?", "*?", "{2}", "{0,3}"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
    ),
    max_leaves=7,
)
TEXTS = st.text("abc\n", max_size=6)


@given(PATTERNS, TEXTS)
@settings(max_examples=400)
def test_what_is_taken_is_fast_on_whatever_it_is_held_against(pattern, text):
    if why_not(pattern):
        return
    compiled = re.compile(pattern.encode())
    hostile = (text.encode() or b"a") * 4000
    for content in (hostile, hostile + b"!", b"!" + hostile):
        before = time.perf_counter()
        compiled.fullmatch(content)
        assert time.perf_counter() - before < 1
