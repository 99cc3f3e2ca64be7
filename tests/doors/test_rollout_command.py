"""``driftd rollout`` says how a group stands, and ``driftd status`` that a rollout is under way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.rollout import Rollout, Stage, Strategy
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC).replace(microsecond=0)
FIRST = Rollout(
    "R1",
    "web",
    "golden-2",
    "golden",
    Strategy.CANARY,
    5,
    timedelta(0),
    "kim",
    "OPS-1",
    NOW - timedelta(hours=1),
    NOW,
    Stage.FIRST,
    note="1 of 10 goes first: web/1",
)


CONFIG = """\
store: sqlite:///driftd.db
groups:
  web: {provider: static, image: golden, hosts: [web-1.example]}
"""


@pytest.fixture(autouse=True)
def configured(tmp_path):
    (tmp_path / "driftd.yaml").write_text(CONFIG)


@pytest.fixture
def begun(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with store.write() as tx:
        assert tx.add_rollout(FIRST)
    store.close()


def words(said) -> str:
    return " ".join(said.out.split())


def test_where_there_was_none_it_says_how_to_begin_one(driftd, tmp_path):
    open_store(f"sqlite:///{tmp_path / 'driftd.db'}").close()
    assert "No rollout yet: driftd rollout web --image IMAGE --reason" in words(driftd("rollout", "web"))
    assert json.loads(driftd("rollout", "web", "--json").out)["rollouts"] == []


def test_one_under_way_is_told_with_who_asked_and_what_it_waits_for(driftd, begun):
    said = words(driftd("rollout", "web"))
    for word in ("golden → golden-2, canary", "kim: OPS-1", "1 of 10 goes first: web/1"):
        assert word in said
    (one,) = json.loads(driftd("rollout", "web", "--json").out)["rollouts"]
    assert (one["id"], one["stage"], one["over"], one["share"]) == ("R1", "first", False, 5)


def test_status_says_so_first_and_only_of_its_group(driftd, begun):
    said = words(driftd("status"))
    assert "ROLLOUT of web to golden-2, first: 1 of 10 goes first: web/1" in said
    (one,) = json.loads(driftd("status", "web", "--json").out)["rollouts"]
    assert one["image"] == "golden-2"


def test_a_second_one_at_once_is_refused(driftd, begun):
    said = driftd("rollout", "web", "--image", "golden-2", "--reason", "again")
    assert said.status != 0
    assert said.err.startswith("driftd: ")
