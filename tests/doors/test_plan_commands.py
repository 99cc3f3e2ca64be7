"""``driftd plan`` and ``driftd apply`` as a person meets them, on the fake provider and a real store."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from planned import Fleet, Shape

from driftd.core.holds import Hold
from driftd.core.memory import Pause
from driftd.core.planning.document import digest
from driftd.core.replacement import State
from driftd.edges.documents import plan_schema
from driftd.edges.documents.plans import LIMIT
from driftd.wiring import house as wired
from driftd.wiring.house import WiredHouse

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONFIG = """\
store: sqlite:///driftd.db
trust: {unsigned: look}
groups:
  web: {provider: static, hosts: [web-1.example], replacing: {at_once: 50%}}
"""
SHAPE = Shape(4, (1, 2), percent=25, owning=True, zones=("a", "b", "a", "b"))


@pytest.fixture
def fleet(tmp_path, monkeypatch) -> Fleet:
    made = Fleet(tmp_path, SHAPE)
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    monkeypatch.setattr(wired, "join", lambda _settings: {"web": made.group})
    monkeypatch.setattr(WiredHouse, "now", lambda _house: made.clock())
    monkeypatch.setattr(WiredHouse, "person", lambda _house: "ann")
    return made


@pytest.fixture
def made(driftd, fleet, tmp_path) -> dict:
    assert driftd("plan", "-o", "web.plan").status == 0
    return json.loads((tmp_path / "web.plan").read_text())


def _opened(fleet: Fleet) -> list:
    with fleet.store.read() as tx:
        return list(tx.open_replacements())


def _sealed(document: dict) -> dict:
    """As somebody would who knows how digests are made."""
    body = {key: value for key, value in document.items() if key != "digest"}
    body["made_from_digest"] = digest(body["made_from"])
    return body | {"digest": digest(body)}


def _refused(driftd, fleet, file: str = "web.plan") -> str:
    said = driftd("apply", file, "--yes")
    assert (said.status, said.out) == (2, "")
    assert "next:" in said.err
    assert _opened(fleet) == [], "something was asked for all the same"
    return said.err


def test_a_plan_says_what_why_in_which_order_and_what_is_left(driftd, fleet):
    said = driftd("plan")
    assert said.status == 0
    assert "2 instances in 1 group" in said.out
    assert "2 volumes and 2 addresses that move, 4 connections" in said.out
    assert re.search(r"1 +web/1 +i-0002 +drifted +move +drift: 1 finding", said.out)
    assert re.search(r"2 +web/2 .*drift: 1 finding", said.out)
    assert "waits: web may spare 1 at once (25 % of 4 is 1" in said.out
    assert "moves volume vol-1 and address 198.51.100.1" in said.out
    assert "web: 2 of 4 (50 %): 1 of 2 in a, 1 of 2 in b; 4 in service" in said.out
    assert re.search(r"2 +in 29 s +web/2 +3 of 4 +4 of 4 +a 2, b 2", said.out)
    assert "steps of move: launch new → drain old → deregister old → quiesce old → stop old → snapshot" in said.out
    assert not [call for call in fleet.provider.calls if "look" in call]


def test_a_plan_is_read_and_changes_nothing(driftd, fleet):
    with fleet.store.read() as tx:
        before = tx.last_line()
    events = len(fleet.provider.events)
    driftd("plan", "--json")
    with fleet.store.read() as tx:
        assert tx.last_line() == before
    assert len(fleet.provider.events) == events
    assert set(fleet.provider.calls) <= {
        "compute.list",
        "traffic.targets",
        "provider.foreign",
        "compute.preflight",
        "volumes.list",
        "addresses.list",
    }


def test_the_document_keeps_to_its_published_schema(driftd, fleet):
    document = json.loads(driftd("plan", "--json").out)
    schema = json.loads((DOCS / "plan.schema.json").read_text())
    assert schema == plan_schema()
    jsonschema.validate(document, schema)
    assert document["schema"] == "driftd.plan/1"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"more": 1}, schema)


def test_what_is_applied_is_asked_for_in_order_and_proven_by_the_journal(driftd, fleet, made):
    said = driftd("apply", "web.plan", "--yes")
    assert said.status == 0
    assert f"2 replacements asked for by ann, as plan {made['digest'][:12]} says" in said.out
    assert "No daemon runs on this store" in said.out
    rids = [one.rid for one in _opened(fleet)]
    assert [one.old_id for one in _opened(fleet)] == [one["instance"] for one in made["replacements"]]
    shown = driftd("journal", "show", rids[0]).out
    assert made["digest"] in shown
    with fleet.store.read() as tx:
        (line,) = tx.journal_lines(f"plan/{made['digest']}")
    assert (line.body["by"], line.body["replacements"]) == ("ann", rids)
    fleet.carry_out(rids)
    assert {fleet.record(rid).state for rid in rids} == {State.SUCCEEDED}


def test_a_plan_is_applied_once(driftd, fleet, made):
    driftd("apply", "web.plan", "--yes")
    fleet.carry_out([one.rid for one in _opened(fleet)])
    assert "this plan was applied already, at 20" in _refused(driftd, fleet)


def test_nobody_is_asked_where_nobody_is_there(driftd, fleet, made):
    said = driftd("apply", "web.plan")
    assert said.status == 2
    assert "say --yes" in said.err
    assert _opened(fleet) == []


@pytest.mark.parametrize(("answer", "status", "asked"), [("n\n", 130, 0), ("y\n", 0, 2)])
def test_on_a_terminal_it_is_shown_and_asked_about(driftd, fleet, made, monkeypatch, answer, status, asked):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = driftd("apply", "web.plan")
    assert said.status == status
    assert "Ask for 2 replacements?" in said.err
    assert "At risk: " in said.out
    assert len(_opened(fleet)) == asked


def test_how_long_it_took_before_is_how_long_it_is_said_to_take(driftd, fleet, made):
    assert made["replacements"][0]["lasts"]["past"] == 0
    fleet.provider.boot_s = 40
    driftd("apply", "web.plan", "--yes")
    rids = [one.rid for one in _opened(fleet)]
    fleet.carry_out(rids)
    with fleet.store.write() as tx:
        for rid in rids:
            new = fleet.record(rid)
            row = tx.instance("i-0001")
            tx.put_instance(replace(row, id=new.new_id, slot=new.slot, zone="b" if new.slot == "web/1" else "a"))
    one = json.loads(driftd("plan", "web/0", "--reason", "x", "--json").out)["replacements"][0]
    assert one["lasts"]["past"] == 2
    assert one["lasts"]["least_s"] >= 60
    assert one["ends_s"] >= one["lasts"]["least_s"]


def test_one_that_waits_already_becomes_a_persons(driftd, fleet, tmp_path):
    waits = fleet.replacer.request(fleet.provider.compute.describe("i-0002"), "policy", manual=False)
    driftd("plan", "-o", "web.plan")
    document = json.loads((tmp_path / "web.plan").read_text())
    assert [one["replacement"] for one in document["replacements"]] == [waits, ""]
    assert document["replacements"][0]["asked_by"] == "replacement"
    assert driftd("apply", "web.plan", "--yes").status == 0
    assert fleet.record(waits).manual
    assert len(_opened(fleet)) == 2
    rids = [one.rid for one in _opened(fleet)]
    fleet.carry_out(rids)
    assert fleet.done() == [(one["slot"], one["wave"]) for one in document["replacements"]]


def test_an_edited_plan_is_refused(driftd, fleet, made, tmp_path):
    made["replacements"][0]["why"] = "because I say so"
    (tmp_path / "web.plan").write_text(json.dumps(made))
    assert "was changed after it was made" in _refused(driftd, fleet)


def test_a_forged_plan_that_asks_for_more_than_it_rests_on_is_refused(driftd, fleet, made, tmp_path):
    made["replacements"].append(made["replacements"][0] | {"instance": "i-0001"})
    (tmp_path / "web.plan").write_text(json.dumps(_sealed(made)))
    assert "does not rest on" in _refused(driftd, fleet)


def test_a_plan_of_another_store_version_or_time_is_refused(driftd, fleet, made, tmp_path):
    file = tmp_path / "web.plan"
    for change, said in (
        ({"store": "0123456789"}, "made from another store (01234567)"),
        ({"schema": "driftd.plan/2"}, "of schema driftd.plan/2, and this driftd reads driftd.plan/1"),
        ({"schema": "driftd.report/1"}, "is no plan: its schema is 'driftd.report/1'"),
        ({"asked": "by nobody"}, "asks for nothing"),
        ({"made_at": "2999-01-01T00:00:00.000000Z"}, "not over yet"),
        ({"made_by": 7}, "made_by is not what it should be"),
    ):
        file.write_text(json.dumps(_sealed(made | change)))
        assert said in _refused(driftd, fleet)


def test_an_expired_plan_is_refused(driftd, fleet, made):
    fleet.clock.advance(3601)
    assert "the plan was good until" in _refused(driftd, fleet)


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"schema": 1}', "{" * 5000, '{"schema": "x", "schema": "x"}'])
def test_what_is_no_plan_is_said(driftd, fleet, tmp_path, text):
    (tmp_path / "web.plan").write_text(text)
    assert "web.plan is no plan: " in _refused(driftd, fleet)


def test_a_file_that_is_too_large_or_none_is_said(driftd, fleet, tmp_path):
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(LIMIT + 1)
    assert "larger than a plan may be" in _refused(driftd, fleet, "huge")
    assert "no regular file" in _refused(driftd, fleet, "/dev/zero")


def _hold(fleet):
    now = fleet.clock()
    with fleet.store.write() as tx:
        tx.put_hold(Hold(0, "i-0002", "web", "bob", "a crash", now, now + timedelta(hours=1)))


def _verdict(fleet):
    with fleet.store.write() as tx:
        tx.put_instance(replace(tx.instance("i-0002"), reason="2 findings"))


def _pause(fleet):
    with fleet.store.write() as tx:
        tx.set_pause(Pause("web", "bob", "a fire", fleet.clock()))


def _moved(fleet):
    table = fleet.provider.address_table
    table["198.51.100.1"] = replace(table["198.51.100.1"], attached_to="i-0001")


def _another(fleet):
    fleet.replacer.request(fleet.provider.compute.describe("i-0001"), "drift was found")
    fleet.replacer.cancel("i-0001", "bob")


def _taken(fleet):
    fleet.provider.vanish("i-0002")
    fleet.clock.advance(5)
    request = replace(fleet.provider.servers["i-0002"].request, token="another")
    fleet.provider.traffic.register("web", fleet.provider.compute.launch(request))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_hold, "a hold on web/1 came since: bob until"),
        (_verdict, "the reason of web/1 is '2 findings' now, the plan says '1 finding'"),
        (_pause, "changes in web were stopped since"),
        (_moved, "address 198.51.100.1 of web/1 is i-0001 now, the plan says i-0002"),
        (_taken, "web/1 is i-0005 now, the plan says i-0002"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_stale_plan_is_refused_and_each_difference_is_named(driftd, fleet, made, change, said):
    change(fleet)
    assert said in _refused(driftd, fleet)


def test_another_replacement_makes_a_plan_stale(driftd, fleet, made):
    _another(fleet)
    said = driftd("apply", "web.plan", "--yes")
    assert said.status == 2
    assert "web has a replacement that the plan does not know" in said.err


def test_other_settings_make_a_plan_stale(driftd, fleet, made, tmp_path):
    (tmp_path / "driftd.yaml").write_text(CONFIG.replace("50%", "100%"))
    assert "replacing.at_once of web is 100% now, the plan says 50%" in _refused(driftd, fleet)
    (tmp_path / "driftd.yaml").write_text(CONFIG.replace("at_once: 50%", "at_once: 50%, boot_timeout: 1h"))
    assert "the configuration of web changed" in _refused(driftd, fleet)
    (tmp_path / "driftd.yaml").write_text(CONFIG.replace("replacing", "policy: [debian], replacing"))
    assert "the policy of web changed" in _refused(driftd, fleet)


def test_all_or_nothing(driftd, fleet, made, monkeypatch):
    from driftd.flows import applying

    usual, asked = applying.plan, []

    def second_fails(tx, record, now):
        asked.append(record)
        return len(asked) < 2 and usual(tx, record, now)

    monkeypatch.setattr(applying, "plan", second_fails)
    said = driftd("apply", "web.plan", "--yes")
    assert said.status == 2
    assert "nothing was asked for" in said.err
    assert len(asked) == 2
    with fleet.store.read() as tx:
        assert not tx.open_replacements()
        assert not tx.journal_lines(f"plan/{made['digest']}")


def test_what_is_named_needs_a_reason_unless_drift_gives_one(driftd, fleet):
    assert "web/1" in driftd("plan", "web/1").out
    said = driftd("plan", "web/0")
    assert (said.status, said.out) == (2, "")
    assert "nothing asks for web/0 to be replaced" in said.err
    document = json.loads(driftd("plan", "web/0", "--reason", "a bad disk", "--json").out)
    assert [(one["instance"], one["asked_by"], one["why"]) for one in document["replacements"]] == [
        ("i-0001", "hand", "ann: a bad disk")
    ]
    assert len(json.loads(driftd("plan", "--all", "--reason", "x", "--json").out)["replacements"]) == 4
    assert "nobody said why" in driftd("plan", "--all").err
    assert "did you mean web/1" in driftd("plan", "web/11").err


def test_nothing_drifted_is_said_and_is_no_error(driftd, fleet, tmp_path):
    with fleet.store.write() as tx:
        for name in ("i-0002", "i-0003"):
            tx.put_instance(replace(tx.instance(name), verdict="clean"))
    said = driftd("plan", "-o", "web.plan")
    assert said.status == 0
    assert "there is nothing to plan" in said.out
    assert "the plan is empty" in _refused(driftd, fleet)


def test_a_hold_shows_until_when_and_who_is_passed_by(driftd, fleet):
    _hold(fleet)
    fleet.group = replace(fleet.group, rules=replace(fleet.group.rules, approve=True))
    document = json.loads(driftd("plan", "--json").out)
    held = next(one for one in document["replacements"] if one["instance"] == "i-0002")
    assert [one["guard"] for one in held["guards"]["wait"]] == ["hold"]
    assert held["guards"]["wait"][0]["until"] is not None
    assert held["begins_s"] == 3600
    assert "hold" not in held["guards"]["pass"]
    assert [one["guard"] for one in held["guards"]["skipped"]] == ["approval"]
    alone = json.loads(driftd("plan", "--unattended", "--json").out)
    assert alone["at_risk"]["waiting"] == 2
    assert {one["guard"] for one in alone["replacements"][0]["guards"]["wait"]} >= {"approval"}
    assert re.search(r"passed by, since a person asks: approval for web/. \(and 1 more\): ", driftd("plan").out)


def test_a_group_that_cannot_be_replaced_is_said(driftd, fleet):
    fleet.provider.traffic = None
    said = driftd("plan", "web")
    assert said.status == 2
    assert "nothing of web can be replaced: provider fake cannot drain them" in said.err
    every = driftd("plan")
    assert every.status == 0
    assert "web is left out, with 2 drifted instances" in every.out


def test_a_group_that_only_observes_is_said(driftd, fleet):
    from driftd.core.findings import Action

    fleet.group = replace(fleet.group, rules=replace(fleet.group.rules, enforce=Action.ALERT))
    said = driftd("plan")
    assert said.status == 0
    assert "web only observes" in said.out
    assert "2 instances left out" in said.out


def test_a_provider_that_cannot_be_asked_is_said(driftd, fleet):
    from driftd.core.errors import Unavailable

    fleet.provider.fail_next("compute.list", Unavailable("no answer in 30 s"))
    said = driftd("plan")
    assert said.status == 3
    assert "the provider could not be asked: no answer in 30 s" in said.err
