"""What a drift looks like: the same on every instance that drifted the same way, whatever else is there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.breakers.signature import MOST, of_drift, parts, parts_of
from driftd.core.difference import Change, Difference
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict, signature
from driftd.core.sessions import differences


def finding(subject=b"/etc/x", kind="file", change=Change.MODIFIED, actual=None, **others):
    difference = Difference(kind, subject, change, {"sha256": "aa"}, actual or {"sha256": "bb"})
    values = {"severity": Severity.HIGH, "action": Action.REPLACE, "rule": "r", "because": "b"}
    shape = signature(difference)
    values |= {"signature": shape, "expected": difference.expected, "actual": difference.actual}
    return Finding(kind=kind, subject=subject, change=change, **values | others)


def judged(*findings):
    return Judgement(Verdict.DRIFTED, "drifted", findings)


def session(user="ops", source="10.0.0.9", **others):

    return Session("ssh", user, source, datetime(2030, 1, 1, tzinfo=UTC), **others)


X = of_drift(judged(finding()))


def test_a_signature_is_short_and_has_a_form_for_people():
    assert parts(X) == (X,)
    assert len(X) == 12
    assert parts_of([finding()]) == {X: "/etc/x modified"}


@pytest.mark.parametrize(
    "other",
    [
        finding(actual={"sha256": "cc"}),
        finding(actual={"sha256": "bb", "mode": "0600"}),
        finding(severity=Severity.LOW, rule="other", because="else"),
    ],
    ids=["other content", "another field", "another rule"],
)
def test_it_is_the_same_whatever_is_in_there_now(other):
    assert of_drift(judged(other)) == X


@pytest.mark.parametrize(
    "other",
    [finding(b"/etc/y"), finding(change=Change.ADDED), finding(kind="directory"), finding(b"/etc/x2")],
    ids=["another path", "another change", "another kind", "a short number"],
)
def test_another_drift_has_another(other):
    assert of_drift(judged(other)) not in {X, ""}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"/var/x-12345", b"/var/x-99887766"),
        (b"/run/0f3a5f6b7c8d9e", b"/run/aa3a5f6b7c8d91"),
        (b"/x/6ba7b810-9dad-11d1-80b4-00c04fd430c8", b"/x/123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_what_only_tells_hosts_apart_is_left_out(one, two):
    assert of_drift(judged(finding(one))) == of_drift(judged(finding(two)))


def test_the_instances_own_names_are_left_out():
    def on(name):
        return of_drift(judged(finding(f"/etc/{name}.conf".encode())), names=(name, "web/1", ""))

    assert on("web-1") == on("web-2")
    assert of_drift(judged(finding(b"/etc/web-1.conf"))) != on("web-2")


def test_words_of_letters_alone_are_names():
    assert of_drift(judged(finding(b"/etc/deadbeefcafe"))) != of_drift(judged(finding(b"/etc/facadefacade")))


def test_two_drifts_share_what_they_have_in_common():
    both = of_drift(judged(finding(), finding(b"/etc/own-to-this-one")))
    assert X in parts(both)
    assert len(parts(both)) == 2


def test_what_nobody_would_replace_for_is_no_part():
    assert of_drift(judged(finding(action=Action.ALERT), finding(suppressed_by="ann"))) == ""
    assert of_drift(Judgement(Verdict.CLEAN, "clean")) == ""


def test_a_session_is_who_came_from_where():
    one = of_drift(judged(), [session(port=1, pid=2)])
    assert one == of_drift(judged(), [session(port=3, pid=4), session(port=5)])
    assert one in parts(of_drift(judged(), [session(key="b")]))
    assert one != of_drift(judged(), [session(source="10.0.0.8")])
    assert one != of_drift(judged(), [session(user="root")])
    (way,) = differences([session(port=1)])
    seen = finding(way.subject, "session", way.change, way.actual, expected={})
    assert of_drift(judged(seen)) == one == of_drift(judged(seen), [session()])
    assert parts_of([seen]) == {one: "ops from 10.0.0.9"}


def test_a_package_is_one_part_whatever_came_with_it():
    def package(*files):
        return [finding(path, cause="package", about=b"curl") for path in files]

    one = of_drift(judged(*package(b"/usr/bin/curl")))
    assert one == of_drift(judged(*package(b"/usr/bin/curl", b"/usr/share/doc/curl")))
    assert len(parts(one)) == 1


def test_what_is_kept_is_bounded_and_printable():
    many = parts_of([finding(f"/etc/{n}".encode() * 300) for n in range(100)])
    assert len(many) == MOST
    assert all(len(short) <= 120 for short in many.values())
    (short,) = parts_of([finding(b"/etc/\x1b[31m\xff\n")]).values()
    assert short.isprintable()


@given(st.text(max_size=60))
def test_a_damaged_signature_has_no_parts_that_are_none(text):
    assert all(len(part) == 12 and part in text for part in parts(text))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8), st.randoms())
def test_the_order_of_findings_does_not_matter(subjects, random):
    findings = [finding(subject) for subject in subjects]
    one = of_drift(judged(*findings))
    random.shuffle(findings)
    assert of_drift(judged(*findings)) == one


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"key": "SHA256:k", "source": "10.0.0.1"}, {"key": "SHA256:k", "source": "10.0.0.2"}),
        ({"key": "SHA256:k"}, {"key": "SHA256:k", "user": "root", "source": "10.0.0.2"}),
        ({"key": "SHA256:a", "key_id": "bot"}, {"key": "SHA256:b", "key_id": "bot", "source": "10.0.0.2"}),
    ],
    ids=["another address", "another user", "another certificate of the same id"],
)
def test_one_principal_is_alike_from_wherever(one, two):
    mine, theirs = parts_of((), [session(**one)]), parts_of((), [session(**two)])
    (shared,) = mine.keys() & theirs.keys()
    assert "from anywhere" in mine[shared]


def test_another_key_from_another_address_is_somebody_else():
    mine = parts_of((), [session(key="SHA256:a")])
    assert not mine.keys() & parts_of((), [session(key="SHA256:b", source="10.0.0.2")]).keys()
    assert len(parts_of((), [session()])) == 1, "who left no key is known by the address alone"
