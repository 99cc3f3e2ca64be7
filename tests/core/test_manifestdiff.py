"""What differs between two manifests, and what makes their closed trees two."""

from dataclasses import replace

from hypothesis import given
from trees import baked, file, link, manifests, package

from driftd.core import manifestdiff
from driftd.core.classes import Expected
from driftd.core.difference import Change
from driftd.core.manifest import classified


def subjects(found):
    return [one.subject for one in found]


@given(manifests(), manifests())
def test_closed_trees_differ_exactly_when_something_is_told(was, now):
    assert manifestdiff.closed_between(was, was) == ()
    assert bool(manifestdiff.closed_between(was, now)) == (was.closed != now.closed)
    assert set(subjects(manifestdiff.closed_between(was, now))) <= set(subjects(manifestdiff.between(was, now)))


def test_a_log_and_an_identity_are_no_difference_of_closed_trees_and_a_program_is():
    key, log = Expected("template", "ssh-private-key"), Expected("growing")
    rows = [file(b"/ssh_host_key", b"secret"), file(b"/log", b"one"), file(b"/program", b"elf", 0o755)]
    was = classified(baked(rows, facts=[package("curl")]), {b"/ssh_host_key": key, b"/log": log})
    now = classified(baked([file(b"/log", b"one two"), rows[2]]), {b"/log": log})
    assert manifestdiff.closed_between(was, now) == ()
    assert subjects(manifestdiff.between(was, now)) == [b"/log", b"/ssh_host_key", b"curl:all"]
    other = classified(baked([file(b"/log", b"one two"), file(b"/program", b"evil", 0o755)]), {b"/log": log})
    assert subjects(manifestdiff.closed_between(was, other)) == [b"/program"]
    without = classified(baked([file(b"/log", b"one")]), {b"/log": log})
    (gone,) = manifestdiff.closed_between(was, without)
    assert (gone.subject, gone.change) == (b"/program", Change.REMOVED)


def test_of_what_is_only_to_be_there_its_kind_counts():
    there = {b"/a": Expected("presence")}
    was, now = (classified(baked([file(b"/a", text), file(b"/b", text)]), there) for text in (b"x", b"y"))
    assert subjects(manifestdiff.closed_between(was, now)) == [b"/b"]
    other = classified(baked([link(b"/a", b"x"), file(b"/b", b"x")]), there)
    assert subjects(manifestdiff.closed_between(was, other)) == [b"/a"]


def test_a_class_that_closes_one_side_only_is_told():
    was = baked([file(b"/a", b"x")])
    now = classified(was, {b"/a": Expected("growing")})
    assert subjects(manifestdiff.closed_between(was, now)) == [b"/a"]
    assert manifestdiff.closed_between(was, replace(was, image="other")) == ()
