"""Flags and hard links in a manifest's text, and as differences."""

from dataclasses import replace

import pytest
from trees import baked, directory, file, fingerprint, link

from driftd.core import drift, manifesttext
from driftd.core.errors import BadInput

HOSTS = file(b"/etc/hosts", b"hi", xattrs=[(b"flags:i", b""), (b"same:x", b"1")])
TREE = [
    directory(b"/etc")._replace(flags=2),
    HOSTS._replace(flags=1, same=b"/etc/hosts"),
    file(b"/etc/ho st=s", b"hi", xattrs=HOSTS.xattrs)._replace(flags=3, same=b"/etc/ho st=s"),
    link(b"/etc/one", b"x")._replace(same=b"/etc/one"),
    link(b"/etc/two", b"x")._replace(same=b"/etc/one"),
    file(b"/srv/ho", b"hi")._replace(same=b"/etc/ho st=s"),
    file(b"/srv/z", b"hi")._replace(same=b"/etc/hosts"),
]
MADE = baked(TREE)
TEXT = manifesttext.encode(MADE)


def test_they_are_words_before_the_attributes():
    assert b"\n/etc directory exact 0755 0:0 flags:a\n" in TEXT
    assert b"flags:i same:/etc/hosts flags:i=- same:x=1\n" in TEXT
    assert b"flags:ia same:/etc/ho\\x20st\\x3ds flags:i=-" in TEXT
    assert b"\n/etc/two link exact 0777 0:0 x same:/etc/one\n" in TEXT


def test_they_read_back():
    assert manifesttext.decode(TEXT) == MADE
    assert {one.path: one.same for one in manifesttext.decode(TEXT).entries if one.same} == {
        one.path: one.same for one in TREE if one.same
    }


def changed(old: bytes, new: bytes) -> bytes:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            changed(b"/etc/two link exact 0777 0:0 x same:/etc/one", b"/etc/two link exact 0777 0:0 x"),
            "no such hard link",
        ),
        (
            changed(b"/etc/two link exact 0777 0:0 x same:/etc/one", b"/etc/two link exact 0777 0:0 x same:/etc/two"),
            "no such hard",
        ),
        (changed(b"same:/etc/one\n/etc/two", b"same:/gone\n/etc/two"), "no such hard link"),
        (
            changed(b"/srv directory exact 0755 0:0", b"/srv directory exact 0755 0:0 same:/etc/one"),
            "no such hard link",
        ),
        (changed(b"directory exact 0755 0:0 flags:a", b"directory exact 0755 0:0 flags:ai"), "not written the way"),
        (changed(b"directory exact 0755 0:0 flags:a", b"directory exact 0755 0:0 flags:"), "not written the way"),
        (changed(b"directory exact 0755 0:0 flags:a", b"directory exact 0755 0:0 flags:x"), "not written the way"),
        (
            changed(b"directory exact 0755 0:0 flags:a", b"directory exact 0755 0:0 flags:a flags:a"),
            "not written the way",
        ),
        (
            changed(b"two link exact 0777 0:0 x same:/etc/one", b"two link exact 0777 0:0 x flags:i same:/etc/one"),
            "not a line",
        ),
        (changed(b"flags:i same:/etc/hosts flags", b"same:/etc/hosts flags:i flags"), "not written the way"),
        (changed(b"flags:i same:/etc/hosts flags", b"flags:i same:- same:/etc/hosts flags"), "not written the way"),
    ],
)
def test_what_cannot_be_is_refused(text, said):
    with pytest.raises(BadInput) as caught:
        manifesttext.decode(text)
    assert said in str(caught.value)


def difference(was, now):
    """The one difference between trees that hold these and nothing else, as its two sides."""
    seen = manifesttext.decode(manifesttext.encode(baked([now])))
    (found,) = drift.compare(baked([was]), fingerprint_of(seen))
    return dict(found.expected), dict(found.actual)


def fingerprint_of(made):
    return replace(fingerprint(), entries=made.entries)


def test_flags_that_came_or_went_are_a_difference():
    plain = file(b"/etc/hosts", b"hi")
    assert difference(plain, plain._replace(flags=1)) == ({}, {"flags": "immutable"})
    assert difference(plain._replace(flags=3), plain._replace(flags=2)) == (
        {"flags": "immutable,append-only"},
        {"flags": "append-only"},
    )


def test_flags_of_what_could_not_be_opened_are_unknown():
    baked_file = file(b"/etc/hosts", b"hi")._replace(flags=1)
    closed = baked_file._replace(sha256=b"", flags=0)
    seen = fingerprint_of(baked([closed]))
    assert drift.compare(baked([baked_file]), seen) == ()
    (found,) = drift.compare(baked([baked_file]), fingerprint_of(baked([closed._replace(flags=2)])))
    assert found.actual == {"flags": "append-only"}


def test_another_hard_link_is_a_difference_of_every_name_of_the_file():
    alone = [file(b"/a", b"x"), file(b"/b", b"x")]
    linked = [one._replace(same=b"/a") for one in alone]
    found = drift.compare(baked(alone), fingerprint_of(baked(linked)))
    assert [(one.subject, dict(one.expected), dict(one.actual)) for one in found] == [
        (b"/a", {}, {"same": "/a"}),
        (b"/b", {}, {"same": "/a"}),
    ]
