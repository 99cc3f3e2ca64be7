"""Findings: a signature is the same wherever the same happened; merging opens, touches and resolves."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Finding, Severity, capped, merge, signature

BASE = Difference("file", b"/etc/x", Change.MODIFIED, {"size": "1"}, {"size": "2", "sha256": "ab"})


def test_a_signature_is_sixteen_digits_and_does_not_move_between_versions():
    assert signature(BASE) == "436e47d8d58e8f58"
    assert signature(BASE) == signature(replace(BASE))


def test_a_signature_tells_apart_what_is_there_now():
    others = [
        replace(BASE, kind="link"),
        replace(BASE, subject=b"/etc/y"),
        replace(BASE, change=Change.ADDED),
        replace(BASE, actual={"size": "2", "sha256": "ac"}),
        replace(BASE, actual={"size": "2"}),
    ]
    assert len({signature(one) for one in [BASE, *others]}) == 6


def test_a_signature_is_the_same_on_hosts_of_another_image():
    assert signature(replace(BASE, expected={"size": "7"})) == signature(BASE)


def test_a_session_has_one_signature_whenever_it_was():
    def session(**more):
        return Difference("session", b"ssh:root@a", Change.ADDED, {}, {"user": "root", "source": "a", **more})

    assert signature(session(started_at="1", last_at="1", times="1", live="no", evidence="log")) == signature(
        session(started_at="2", last_at="3", times="2", live="yes", evidence="wtmp")
    )
    assert signature(session(key="SHA256:a")) != signature(session(key="SHA256:b"))


def test_names_of_any_bytes_have_a_signature():
    assert len(signature(replace(BASE, subject=b"/\xff\n", actual={"target": "\udcff"}))) == 16


def finding(shape: str) -> Finding:
    return Finding("file", b"/x", Change.ADDED, Severity.LOW, Action.ALERT, shape, "a:b", "why")


shapes = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(shapes, shapes)
def test_merging_leaves_each_signature_open_exactly_once(before, seen):
    rows = list(enumerate(before, 1))
    merged = merge(rows, [finding(shape) for shape in seen])
    by_id = dict(rows)
    left = [by_id[row] for row, _ in merged.still]
    opened = [one.signature for one in merged.opened]
    assert sorted(left + opened) == sorted(set(seen))
    assert sorted([*merged.resolved, *(row for row, _ in merged.still)]) == sorted(by_id)
    assert all(by_id[row] == one.signature for row, one in merged.still)


def test_a_cap_never_raises():
    assert capped(Action.REPLACE, Action.ALERT) is Action.ALERT
    assert capped(Action.EXPLAIN, Action.REPLACE) is Action.EXPLAIN
