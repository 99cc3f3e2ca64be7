"""Globs: what they match, and that none that lets pass reaches where it must not, however it is written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import names

from driftd.core import globs

MATCHES = {
    "/etc/hosts": ([b"/etc/hosts"], [b"/etc/hosts\n", b"/etc/host", b"/x/etc/hosts"]),
    "/var/log/*.log": ([b"/var/log/a.log", b"/var/log/.log", b"/var/log/\n\xff.log"], [b"/var/log/a/b.log"]),
    "/var/log/**": ([b"/var/log/a", b"/var/log/a/b\n"], [b"/var/log", b"/var/logs"]),
    "/a/**/z": ([b"/a/z", b"/a/b/z", b"/a/b/c/z"], [b"/a/bz", b"/az"]),
    "**/.ssh": ([b"/.ssh", b"/root/.ssh"], [b"/root/x.ssh"]),
    "/a/?": ([b"/a/b", b"/a/\xff"], [b"/a/", b"/a/bc", b"/a//"]),
    "/a/[b-d]x": ([b"/a/bx", b"/a/dx"], [b"/a/ex", b"/a/-x"]),
    "/a/[!b]": ([b"/a/c", b"/a/^"], [b"/a/b", b"/a//"]),
    "/a/[^b]": ([b"/a/^", b"/a/b"], [b"/a/c"]),
    "/a/\\xff\\*\\[": ([b"/a/\xff*["], [b"/a/\xffx["]),
    "/a/b.c+": ([b"/a/b.c+"], [b"/a/bxc", b"/a/b.cc"]),
    "/": ([b"/"], [b"/a"]),
    "/**": ([b"/a", b"/a/b"], [b"/"]),
}


@pytest.mark.parametrize("text", MATCHES)
def test_matches(text):
    yes, no = MATCHES[text]
    glob = globs.path(text)
    assert [path for path in yes if not glob.matches(path)] == []
    assert [path for path in no if glob.matches(path)] == []


UNREADABLE = {
    "etc/hosts": "begins with /",
    "/a//b": "would match nothing",
    "/a/": "would match nothing",
    "/a/../b": "would match nothing",
    "/a/**b": "stands alone",
    "/a/[": "has no meaning here",
    "/a/[]": "lists plain bytes",
    "/a/[z-a]": "is not a class",
    "/a/\\q": "has no meaning here",
    "/a/\\x2f": "neither a slash nor",
    "/a/\\x00": "neither a slash nor",
    "": "begins with /",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_refused(text):
    with pytest.raises(globs.BadGlobError, match=UNREADABLE[text]):
        globs.path(text)


def test_a_word_may_hold_a_slash():
    assert globs.word("a/*").matches(b"a/b/c")
    assert not globs.word("a*").matches(b"ba")


PASSES = [
    "/etc/hosts",
    "/etc",
    "/etc/ssh/ssh_host_*_key",
    "/root/.ssh/authorized_keys",
    "/home/admin/.ssh/authorized_keys",
    "/home/*/.cache/**",
    "/var/log/**",
    "/tmp/**",
    "/srv/**",
    "/home/*",
    "/var/lib/apt/**",
]
REACHES = [
    "/**",
    "**/*.log",
    "/*",
    "/*/hosts",
    "/e*/hosts",
    "/?tc/hosts",
    "/[e]tc/hosts",
    "/etc/**",
    "/etc/*",
    "/etc/*/hosts",
    "/etc/ssh/*",
    "/etc/ss*/sshd_config",
    "/etc/**/hosts",
    "/etc/*.conf",
    "/etc/ho*",
    "/usr/**/__pycache__/*",
    "/boot/*",
    "/root/.*",
    "/root/.ssh/*",
    "/lib/**",
    "/lib64/**",
    "/bin/*",
    "/sbin/*",
    "/opt/**",
]


@pytest.mark.parametrize("text", PASSES)
def test_narrow_enough(text):
    assert globs.overreach(globs.path(text)) == ""


@pytest.mark.parametrize("text", REACHES)
def test_too_broad_to_let_pass(text):
    assert globs.overreach(globs.path(text))


SEGMENTS = st.sampled_from(["**", "*", "e*", "?tc", "etc", "[a-z]*", "usr", "home", "x", ".ssh", "[!x]ome", ".*h"])
PLACES = [b"/etc", b"/usr", b"/boot", b"/root", b"/efi"]


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.sampled_from(PLACES), st.lists(names, min_size=1, max_size=3))
def test_a_glob_that_may_pass_names_its_files_in_protected_places(segments, place, below):
    """Whatever may pass there and has a wildcard begins its last name with three plain characters."""
    glob = globs.path("/" + "/".join(segments))
    path = b"/".join([place, *below])
    if glob.matches(path) and not globs.overreach(glob):
        *above, last = glob.names
        assert all(name is not None and not name.wild for name in above)
        assert last is not None
        assert not last.wild or len(last.literal) >= 3


def test_protected_places():
    assert globs.protected(b"/etc")
    assert globs.protected(b"/home/eve/.ssh/authorized_keys")
    assert not globs.protected(b"/home/eve")
    assert not globs.protected(b"/etcetera/x")


PAIRS = [
    ("/var/**", "/var/log/x", True),
    ("/var/**", "/var", False),
    ("/var/log/**", "/var/log/*.log", True),
    ("/a/**/b", "/a/b", True),
    ("/a/*", "/a/**", False),
    ("/a/**", "/a/*/b/**", True),
    ("/a/x*", "/a/xy*", True),
    ("/a/x*z", "/a/xyz*", False),
    ("**/x", "/q/**/x", True),
]


@pytest.mark.parametrize(("outer", "inner", "whole"), PAIRS)
def test_one_glob_includes_another(outer, inner, whole):
    assert globs.includes(globs.path(outer), globs.path(inner)) is whole


@pytest.mark.parametrize("name", ["a", "*a", "?", "[ab]", "a*a"])
def test_what_lies_between_two_stars_is_a_whole_name(name):
    """... and one that only begins like it does not take its place."""
    for path in (b"/ab/aa/x", b"/aab/a/x", b"/ba/ab/aa/x", b"/a/x"):
        wanted = any(globs.word(name).matches(part) for part in path.split(b"/")[1:-1])
        assert globs.path(f"**/{name}/**").matches(path) is wanted
        assert globs.path(f"/**/{name}/**/x").matches(path) is wanted


SOME_NAMES = st.sampled_from(["a", "ab", "abc", "*", "a*", "?", "[ab]", "**"])
SOME_GLOBS = st.lists(SOME_NAMES, min_size=1, max_size=4).map(lambda names: globs.path("/" + "/".join(names)))
SOME_PATHS = st.lists(st.sampled_from([b"a", b"b", b"ab", b"abc", b"x"]), min_size=1, max_size=4).map(
    lambda names: b"/" + b"/".join(names)
)


@given(SOME_GLOBS, SOME_GLOBS, SOME_PATHS)
def test_no_path_says_otherwise(one, other, path):
    if one.matches(path) and other.matches(path):
        assert globs.meet(one, other)
    if other.matches(path) and globs.includes(one, other):
        assert one.matches(path)


@pytest.mark.parametrize(
    ("glob", "subject"),
    [
        (globs.path("/srv/" + "*a" * 12 + "b"), b"/srv/" + b"a" * 250),
        (globs.word("*a" * 12 + "b"), b"a" * 4000),
        (globs.path("/**/a" * 12 + "/b"), b"/a" * 2000),
        (globs.path("/**/*a*a*a" * 4 + "/b"), b"/aaaaa" * 600),
        (globs.word("?*" * 20 + "x"), b"a" * 4000),
    ],
    ids=["stars", "word", "subtrees", "both", "questions"],
)
def test_no_name_makes_a_glob_slow(glob, subject):
    before = time.perf_counter()
    assert not glob.matches(subject)
    assert time.perf_counter() - before < 1


def by_hand(glob, subject):
    """Whether a glob of one name matches, tried in every way."""
    if not glob:
        return not subject
    if glob[0] == "*":
        return any(by_hand(glob[1:], subject[at:]) for at in range(len(subject) + 1))
    return bool(subject) and glob[0] in ("?", subject[0]) and by_hand(glob[1:], subject[1:])


@given(st.text("ab?*", min_size=1, max_size=7), st.text("ab", min_size=1, max_size=7))
def test_stars_match_what_they_would_in_any_way(glob, subject):
    assert globs.word(glob).matches(subject.encode()) is by_hand(glob, subject)


def names_by_hand(glob, names):
    if not glob:
        return not names
    if glob[0] == "**":
        least = 1 if len(glob) == 1 else 0
        return any(names_by_hand(glob[1:], names[at:]) for at in range(least, len(names) + 1))
    return bool(names) and by_hand(glob[0], names[0]) and names_by_hand(glob[1:], names[1:])


@given(
    st.lists(st.sampled_from(["**", "a", "b", "*", "a*"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=6),
)
def test_subtrees_match_what_they_would_in_any_way(glob, names):
    squeezed = [one for at, one in enumerate(glob) if one != "**" or glob[at - 1 : at] != ["**"]]
    path = "/" + "/".join(names)
    assert globs.path("/" + "/".join(glob)).matches(path.encode()) is names_by_hand(squeezed, names)
