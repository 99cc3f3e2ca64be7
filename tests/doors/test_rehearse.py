"""``driftd rehearse``: a policy in a simulated world; what held, what did not, and that nothing else was done."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from tempfile import TemporaryDirectory

import pytest
from broken import BROKEN

from driftd.core.rehearsal import INVARIANTS, Broken, Played, Rehearsed
from driftd.rehearsal import ground

CONFIG = """\
store: sqlite:///driftd.db
groups:
  web:
    provider: nobody-has-this-one
    image: web-1
    every: 5s
    replacing: {dwell: 1s, soak: 2s, canary: {soak: 2s}, absent: 3s, park: 0s, drain_timeout: 30s, windows: always}
  db:
    provider: static
    hosts: [db-1.example, db-2.example]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_held_is_said_and_nothing_is_touched(place, driftd):
    said = driftd("rehearse", "web", "--seeds", "2", "--jobs", "1")
    assert said.status == 0, said
    assert "It held: 2 seeds, nothing violated." in said.out
    assert "web only observes (enforce: observe); it is rehearsed as if it said enforce: replace" in said.out
    assert "from drift to replaced" in said.out
    assert [one.name for one in place.iterdir()] == ["driftd.yaml"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_nothing_is_left_where_the_runs_wrote(place, driftd, tmp_path_factory, monkeypatch, jobs):
    memory = tmp_path_factory.mktemp("memory")
    monkeypatch.setattr(ground, "_MEMORY", memory)
    ground.empty.cache_clear()
    made = []
    monkeypatch.setattr(ground, "TemporaryDirectory", lambda **words: made.append(words) or TemporaryDirectory(**words))
    assert driftd("rehearse", "web", "--seeds", "2", "--jobs", jobs).status == 0
    assert {one["dir"] for one in made} == {memory}
    assert not list(memory.iterdir())


def test_a_broken_guard_is_caught_and_told_with_how_to_play_it_again(place, driftd):
    with BROKEN["no budget"]():
        said = driftd("rehearse", "web", "--seed", "2", "--size", "3", "--jobs", "1", "--json", "-o", "out.html")
    assert said.status == 1, said
    told = json.loads(said.out)
    assert not told["held"]
    (violation,) = told["violations"]
    assert violation["again"] == "driftd rehearse web --size 3 --seed 2"
    assert {one["invariant"] for one in violation["broken"]} == {"newcomers"}
    assert any("edited" in line or "somebody comes" in line for line in violation["timeline"])
    (row,) = [one for one in told["invariants"] if one["name"] == "newcomers"]
    assert row["violated"] == [2]
    page = (place / "out.html").read_text()
    assert "Seed 2 violated" in page
    assert "and web may spare 1 at once" in page


def test_processes_play_what_one_plays_and_the_picture_is_whole(place, driftd):
    one = driftd("rehearse", "web", "--from", "3", "--seeds", "2", "--jobs", "1", "--json")
    two = driftd("rehearse", "web", "--from", "3", "--seeds", "2", "--jobs", "2", "--json", "-o", "out.svg")
    first, second = json.loads(one.out), json.loads(two.out)
    assert first == second
    root = ET.parse(place / "out.svg").getroot()
    assert root.tag.endswith("svg")
    assert "in service" in (place / "out.svg").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--seeds 0", "--seeds 0 is no number of runs"),
        ("--seeds -5", "--seeds -5 is no number of runs"),
        ("--seed -1", "seeds are counted from 0"),
        ("--size 100000", "--size 100000 is no size of a group"),
        ("--jobs -1", "--jobs -1 is no number of processes"),
        ("-o out.pdf", "nobody knows what to write there"),
        ("wbe", "no group is called 'wbe'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_played(place, driftd, words, told):
    said = driftd("rehearse", *words.split())
    assert said.status == 2
    assert told in said.err
    assert said.out == ""


def test_without_a_configuration_there_is_nothing_to_rehearse(tmp_path, driftd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = driftd("rehearse")
    assert said.status == 2
    assert "no group is configured" in said.err


def test_a_provider_that_only_looks_is_rehearsed_as_one_that_can(place, driftd):
    said = driftd("rehearse", "db", "--seeds", "1", "--jobs", "1")
    assert said.status == 0, said
    assert "db has 2 instances, as the configuration lists" in said.out
    assert "can only look; it is rehearsed as if it could launch and drain" in said.out


def test_what_was_found_before_ctrl_c_is_said(place, driftd, monkeypatch):
    from driftd.rehearsal import crew

    def interrupted(seeds, asked, _jobs):
        yield Played(seeds[0], tested=frozenset(INVARIANTS), replaced=(30.0,))
        raise KeyboardInterrupt

    monkeypatch.setattr(crew, "played", interrupted)
    said = driftd("rehearse", "web", "--seeds", "9")
    assert said.status == 130
    assert "interrupted after 1 of 9 seeds" in said.err
    assert "1 replaced" in said.out


def test_all_seeds_together_say_the_same_in_whatever_order_they_come():
    seeds = [
        Played(1, tested=frozenset({"rest"}), replaced=(10.0,), outcomes={"succeeded": 1}, spent={"window": 30.0}),
        Played(2, (Broken("zones", "two"),), frozenset({"zones"}), ("late",), (), {"stuck": 1}, {"pace": 10.0}),
        Played(3, (Broken("rest", "a"), Broken("rest", "b")), frozenset({"rest"}), replaced=(50.0, 20.0)),
    ]
    made = []
    for order in (seeds, seeds[::-1]):
        found = Rehearsed(3)
        for one in order:
            found.add(one)
        made.append((found.rows, found.shown, found.middle, found.worst, found.shares(), found.broken))
    assert made[0] == made[1]
    rows, shown, middle, worst, shares, _ = made[0]
    assert {row.rule: row.violated for row in rows if row.violated} == {"zones": (2,), "rest": (3,)}
    assert shown.seed == 2
    assert (middle, worst) == (20.0, 50.0)
    assert shares == [("window", 0.75), ("pace", 0.25)]
