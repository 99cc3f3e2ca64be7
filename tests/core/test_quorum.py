"""Quorum: one member at a time, followers first, never below it; and a hook's answer is hostile until it is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.facts import Instance, Unseen
from driftd.core.quorum import Cluster, known_as, not_alone, parse, refusal

THREE = ["db-1", "db-2", "db-3"]


def cluster(members=3, healthy=None, leader="db-1", quorum=None):
    names = [f"db-{number + 1}" for number in range(members)]
    said = {"members": names, "healthy": names if healthy is None else healthy, "leader": leader}
    answer = parse(json.dumps(said | ({} if quorum is None else {"quorum": quorum})).encode())
    assert isinstance(answer, Cluster), answer
    return answer


def ask(found, name="db-2", *, removed=False, waiting=()):
    return refusal(found, {name}, removed=removed, waiting=waiting)


@pytest.mark.parametrize(
    ("members", "healthy", "name", "allowed"),
    [
        (3, 3, "db-2", True),
        (3, 2, "db-2", False),
        (3, 2, "db-3", True),  # it is ill already: nobody is fewer without it
        (5, 4, "db-2", True),
        (5, 3, "db-2", False),
        (1, 1, "db-1", False),
        (2, 2, "db-2", False),
    ],
)
def test_the_healthy_that_are_left_make_a_quorum(members, healthy, name, allowed):
    found = cluster(members, [f"db-{number + 1}" for number in range(healthy)])
    said = ask(found, name)
    assert (said == "") is allowed
    if not allowed:
        assert said == (
            f"{healthy - 1} healthy of {members} members would be left without it, and the quorum is {members // 2 + 1}"
        )


def test_a_quorum_that_the_hook_names_is_the_one():
    assert ask(cluster(3, quorum=3)).endswith("the quorum is 3")
    assert ask(cluster(3, ["db-1", "db-2"], quorum=1)) == ""


def test_a_member_that_was_taken_out_already_is_not_subtracted_again():
    """Else a restart in the middle would refuse what it has itself half done."""
    found = cluster(3, ["db-1", "db-3"])
    assert ask(found, "db-2") == ""
    assert ask(found, "db-2", removed=True) == ""
    assert ask(cluster(2, quorum=2), "db-9", removed=True) == ""
    assert ask(cluster(3), "db-2", removed=True) == ""
    assert "are left without it" in ask(cluster(3, ["db-1"]), "db-2", removed=True)


def test_the_leader_goes_last():
    assert ask(cluster(), "db-1", waiting=[{"db-3"}, {"db-2", "192.0.2.2"}]) == (
        "it leads the cluster, and followers go first: db-2, db-3"
    )
    assert ask(cluster(), "db-1", waiting=[{"somebody-else"}]) == ""
    assert ask(cluster(), "db-1") == ""
    assert ask(cluster(), "db-2", waiting=[{"db-1"}, {"db-3"}]) == ""
    assert ask(cluster(leader=""), "db-1", waiting=[{"db-3"}]) == ""
    assert ask(cluster(healthy=["db-1", "db-2", "db-3"]), "db-1", removed=True, waiting=[{"db-3"}]) == ""


def test_a_cluster_spares_one_at_a_time():
    assert not_alone(["db/4"]) == "1 other member is being replaced (db/4), and a cluster spares one at a time"
    assert not_alone(["db/4", "db/5"]).startswith("2 other members are being replaced (db/4, db/5)")
    assert not_alone([]) == ""


def test_not_knowing_holds():
    assert ask(Unseen("the hook did not answer within 60 s")) == (
        "whether the quorum holds is not known, so nothing leaves it: the hook did not answer within 60 s"
    )
    assert "does not know db-9 among its 3 members" in ask(cluster(), "db-9")
    assert "different members" in refusal(cluster(), {"db-1", "db-2"}, removed=False)


def test_an_instance_is_known_by_id_slot_and_address():
    assert known_as(Instance("i-1", "db", "img", slot="db/1", address="192.0.2.1")) == {"i-1", "db/1", "192.0.2.1"}
    assert known_as(Instance("i-1", "db", "img")) == {"i-1"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b"ok",
        b"\xff",
        b'{"members": ["a"], "healthy": ["a"]}',
        b'{"members": [], "healthy": [], "leader": ""}',
        b'{"members": ["a"], "healthy": ["b"], "leader": ""}',
        b'{"members": ["a", "b"], "healthy": ["a"], "leader": "b"}',
        b'{"members": ["a", "a"], "healthy": ["a"], "leader": "a"}',
        b'{"members": ["a"], "healthy": "a", "leader": "a"}',
        b'{"members": [""], "healthy": [], "leader": ""}',
        b'{"members": ["a\\n"], "healthy": [], "leader": ""}',
        b'{"members": [1], "healthy": [], "leader": ""}',
        b'{"members": ["a"], "healthy": ["a"], "leader": null}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a", "quorum": 0}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a", "quorum": 2}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a", "quorum": true}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a", "quorum": 1.0}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a", "more": 1}',
        b'{"members": ["a"], "members": ["b"], "healthy": [], "leader": ""}',
        b'{"members": ["a"], "healthy": ["a"], "leader": "a"} x',
        b"[" * 100_000,
        json.dumps({"members": [f"m{n}" for n in range(1001)], "healthy": [], "leader": ""}).encode(),
        json.dumps({"members": ["m" * 257], "healthy": [], "leader": ""}).encode(),
        b" " * (1024 * 1024 + 1),
    ],
)
def test_whatever_is_not_exactly_an_answer_is_none(answer):
    said = parse(answer)
    assert isinstance(said, Unseen)
    assert said.reason.isprintable()
    assert len(said.reason) < 400


@given(st.binary())
def test_no_bytes_break_it(data):
    assert isinstance(parse(data), (Unseen, Cluster))


@given(st.integers(1, 9), st.data())
def test_what_may_leave_leaves_a_quorum_behind(size, data):
    names = [f"m{number}" for number in range(size)]
    healthy = frozenset(data.draw(st.lists(st.sampled_from(names), unique=True)))
    quorum = data.draw(st.integers(1, size))
    me = data.draw(st.sampled_from(names))
    found = Cluster(frozenset(names), healthy, "", quorum)
    if refusal(found, {me}, removed=False) == "":
        assert len(healthy - {me}) >= quorum
