"""Breakers over a real store and the fake provider: what they open over, whom they hold, and what is written."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from herd import AT_ONCE, Herd, edited
from sweeping import UNKNOWN, drifted, finding

from driftd.core.asides import Foreign
from driftd.core.breakers.breaker import State
from driftd.core.breakers.facts import Calls, Leftover
from driftd.core.errors import BadInput, NotFound, Refused, Unavailable
from driftd.core.facts import Session
from driftd.core.memory import StoreUnavailable
from driftd.core.replacement import State as Step
from driftd.core.sessions import differences
from driftd.flows.metered import Meter, metered
from driftd.flows.trip import Tripper


@pytest.fixture
def herd(tmp_path):
    """Twelve, of which five may not drift alike."""
    made = Herd(tmp_path, every=300, groups={"web": 12})
    yield made
    made.close()


@pytest.fixture
def three(tmp_path):
    made = Herd(tmp_path, groups={"web": 3})
    yield made
    made.close()


EVERY = {f"web/{number}" for number in range(12)}


@pytest.fixture
def forty(tmp_path):
    made = Herd(tmp_path, every=300)
    yield made
    made.close()


def test_forty_that_drift_alike_are_not_replaced(forty):
    herd = forty
    herd.run(20)
    herd.drift({f"web/{number}" for number in range(40)}, edited("/etc/x"))
    herd.run(120)
    assert herd.replaced == set()
    ((rule, scope),) = herd.open()
    assert (rule, scope[:10]) == ("C1", "signature:")
    assert herd.why(rule, scope).startswith("40 of 40 instances in web drifted alike (")
    assert "/etc/x modified" in herd.why(rule, scope)
    notes = {one.note for one in herd.read("open_replacements")}
    assert notes
    assert all("C1 is open for signature" in note for note in notes)
    assert len(herd.messages("breaker-opened")) == 1
    (line,) = herd.read("journal_lines", f"breaker/{rule}/{scope}")
    assert (line.kind, line.body["to"]) == ("decision", "open")


def test_one_of_forty_that_drifts_is_replaced(forty):
    herd = forty
    herd.run(20)
    herd.drift({"web/7"}, edited("/etc/x"))
    herd.run(120)
    assert herd.replaced == {"web/7"}
    assert herd.open() == set()
    (record,) = [one for one in herd.read("replacements") if one.slot == "web/7"]
    assert (record.state, len(record.signature)) == (Step.SUCCEEDED, 12)


def visited(number: int, key: str):
    """A judgement: somebody came with this key, from an address of its own."""
    came = Session("ssh", "deploy", f"10.0.0.{number}", datetime(2030, 1, 1, tzinfo=UTC), key=key, kind="command")
    return drifted(finding(differences([came])[0]))


def test_one_key_that_logs_in_everywhere_recycles_nothing(herd):
    herd.run(20)
    for number, slot in enumerate(sorted(EVERY)):
        herd.drift({slot}, visited(number, "SHA256:playbook"))
    herd.run(120)
    assert herd.replaced == set()
    ((rule, scope),) = herd.open()
    assert rule == "C1"
    assert "deploy with SHA256:playbook from anywhere" in herd.why(rule, scope)
    assert all("C1 is open for signature" in one.note for one in herd.read("open_replacements"))


def test_one_person_on_one_server_is_no_scanner(herd):
    herd.run(20)
    herd.drift({"web/3"}, visited(3, "SHA256:eve"))
    herd.drift({"web/5"}, visited(5, "SHA256:mallory"))
    herd.run(300)
    assert herd.replaced == {"web/3", "web/5"}
    assert herd.open() == set()


def test_each_with_another_content_is_alike_all_the_same(herd):
    herd.run(20)
    for number in range(12):
        herd.drift({f"web/{number}"}, edited("/etc/x", f"{number:02}"))
    herd.run(60)
    assert herd.replaced == set()


def test_what_drifts_in_another_way_goes_on_beside_it(herd):
    herd.run(20)
    herd.drift(EVERY - {"web/7"}, edited("/etc/x"))
    herd.drift({"web/7"}, edited("/etc/y"))
    herd.run(120)
    assert herd.replaced == {"web/7"}


def test_one_of_three_is_replaced_and_three_of_three_are_not(three):
    three.run(20)
    three.drift({"web/1"}, edited("/etc/x"))
    three.run(120)
    assert three.replaced == {"web/1"}
    three.run(900, 60)
    three.drift({"web/0", "web/1", "web/2"}, edited("/etc/z"))
    three.run(60)
    assert three.replaced == {"web/1"}
    assert [rule for rule, _ in three.open()] == ["C1"]


def test_after_a_person_closed_it_they_are_replaced(herd):
    herd.run(20)
    herd.drift({f"web/{number}" for number in range(5)}, edited("/etc/x"))
    herd.run(40)
    assert herd.replaced == set()
    ((rule, scope),) = herd.open()
    said = herd.reset(rule.lower(), scope)
    assert said.startswith("ann closed breaker C1 of signature")
    herd.run(120)
    assert herd.replaced
    assert herd.open() == set()
    assert [line.kind for line in herd.read("journal_lines", f"breaker/{rule}/{scope}")] == ["decision", "human"]
    assert len(herd.messages("breaker-closed")) == 1
    with pytest.raises(BadInput, match=r"no breaker C1 of .* is open"):
        herd.reset(rule, scope)


def test_a_breaker_is_still_open_after_a_restart(tmp_path):
    herd = Herd(tmp_path, every=300, groups={"web": 5})
    herd.run(20)
    herd.drift(EVERY, edited("/etc/x"))
    herd.run(30)
    before = herd.read("breakers")
    made = Tripper(herd.store, herd.groups, clock=herd.clock, limits=AT_ONCE)
    herd.clock.advance(3600)
    assert made.tick() == []
    assert herd.read("breakers") == before
    herd.close()


def test_what_a_person_asks_for_is_replaced_all_the_same(herd):
    herd.run(20)
    herd.drift(EVERY, edited("/etc/x"))
    herd.run(30)
    (mine,) = [one for one in herd.read("open_replacements") if one.slot == "web/3"]
    herd.replacer.cancel(mine.rid, "ann")
    herd.run(4)
    herd.replacer.request(herd.provider.compute.describe(mine.old_id), "ann asked")
    herd.run(60)
    assert herd.replaced == {"web/3"}


def test_opening_stops_no_undo(herd):
    herd.run(20)
    herd.drift({"web/7"}, edited("/etc/x"))
    herd.provider.boot_s = 30
    herd.run(14)
    (one,) = herd.read("open_replacements")
    assert one.state is Step.BOOTING
    herd.drift(EVERY, edited("/etc/x"))
    herd.run(20)
    assert [rule for rule, _ in herd.open()] == ["C1"]
    herd.replacer.cancel(one.rid, "ann")
    herd.run(60)
    assert herd.read("replacement", one.rid).state is Step.CANCELLED
    assert herd.replaced == set()


# --- the other rules, each from where its facts come ---


def test_an_inventory_that_cannot_be_read_blinds_its_group_until_two_passes_saw_it(three):
    three.run(20)
    three.provider.fail_next("inventory.find", Unavailable("no route to the cloud"))
    three.run(12)
    assert ("C5", "group:web") in three.open()
    assert "no route to the cloud" in three.why("C5", "group:web")
    three.run(4)
    assert ("C5", "group:web") in three.open(), "one pass is not two"
    three.run(14)
    assert three.open() == set()


def test_an_empty_inventory_stops_everything_and_is_a_persons(three):
    three.run(20)
    usual, three.provider.inventory.find = three.provider.inventory.find, lambda _group: []
    three.run(14)
    assert three.open() == {("C6", "fleet")}
    three.provider.inventory.find = usual
    three.run(120)
    assert three.open() == {("C6", "fleet")}
    three.reset("C6", "fleet")
    three.run(30)
    assert three.open() == set()


def test_twice_the_fleet_stops_everything_until_it_is_steady(three):
    three.run(20)
    usual = three.provider.inventory.find

    def twice(group):
        found = usual(group)
        return [*found, *(replace(one, id=f"{one.id}-b", slot=f"{one.slot}-b") for one in found)]

    three.provider.inventory.find = twice
    three.run(12)
    assert ("C6", "fleet") in three.open()
    with pytest.raises(BadInput, match="not a person's to close: it closes by itself"):
        three.reset("C6", "fleet")


def test_a_group_of_which_too_many_are_ill_is_left_alone_until_it_was_well_for_a_while(three):
    three.run(20)
    three.provider.make_sick("i-0001")
    three.run(40)
    assert three.open() == set()
    three.provider.make_sick("i-0002")
    three.run(40)
    assert three.open() == {("C4", "group:web")}
    for name in ("i-0001", "i-0002"):
        three.provider.make_sick(name, healthy=True)
    three.run(14 * 60, 30)
    assert three.open() == {("C4", "group:web")}
    three.run(3 * 60, 30)
    assert three.open() == set()


def test_hosts_that_answer_no_more_blind_their_group(three):
    three.run(20)
    three.drift({"web/1"}, UNKNOWN)
    three.run(9 * 60, 30)
    assert three.open() == set()
    three.run(2 * 60, 30)
    assert three.open() == {("C5", "group:web")}
    assert three.why("C5", "group:web").startswith("2 of 3 in web could be looked at within 10 min")


def test_failed_replacements_stop_the_group(tmp_path):
    herd = Herd(tmp_path, groups={"web": 3}, every=60, back_off=0)
    herd.run(20)
    herd.provider.sick_launches = 99
    herd.drift({"web/1"}, edited("/etc/x"))
    herd.run(1000, 20)
    assert ("C2", "group:web") in herd.open()
    assert "replacements in a row failed in web" in herd.why("C2", "group:web")
    launches = herd.provider.calls.count("compute.launch")
    herd.run(600, 20)
    assert herd.provider.calls.count("compute.launch") == launches
    herd.close()


def test_a_refused_launch_leaves_the_account_alone_for_a_while(three):
    three.run(20)
    three.provider.fail_next("compute.launch", Refused("no room in this zone"))
    three.drift({"web/1"}, edited("/etc/x"))
    three.run(40)
    assert ("C9", "account:fake") in three.open()
    assert "no room in this zone" in three.why("C9", "account:fake")
    launches = three.provider.calls.count("compute.launch")
    three.run(60)
    assert three.provider.calls.count("compute.launch") == launches


def test_what_is_new_is_observed_first(tmp_path):
    herd = Herd(
        tmp_path,
        groups={"web": 3},
        limits=replace(AT_ONCE, observe_first=timedelta(hours=1)),
        versions=lambda: {("driftd", "fleet"): "1", ("the rules of web", "group:web"): "ab"},
    )
    herd.run(20)
    assert herd.open() == {("C8", "fleet"), ("C8", "group:web")}
    herd.drift({"web/1"}, edited("/etc/x"))
    herd.run(60)
    assert herd.replaced == set()
    herd.reset("C8", "fleet")
    herd.reset("C8", "group:web")
    herd.run(60)
    assert herd.replaced == {"web/1"}
    herd.close()


def test_a_stuck_replacement_and_what_the_janitor_left_hold_the_group(three):
    three.run(20)
    left = [Leftover("i-77", "an orphan", three.clock())]
    tripper = Tripper(three.store, three.groups, clock=three.clock, limits=AT_ONCE, left=lambda: {"web": left})
    said = tripper.tick()
    (sentence,) = said
    assert sentence == (
        "breaker C10 of group web is open: 1 thing of driftd's is left in web and none may be: i-77 (an orphan); "
        "closed by the janitor, once nothing is left; or a person"
    )
    left.clear()
    assert len(tripper.tick()) == 1
    assert three.open() == set()


# --- when it cannot be told ---


def test_while_the_store_is_away_nothing_is_lost_and_nothing_pretended(three):
    three.run(20)
    three.meter.note("aws", failed=True)
    usual = three.store.write

    @contextmanager
    def write():
        raise StoreUnavailable("the disk is full")
        yield

    three.store.write = write
    with pytest.raises(StoreUnavailable):
        three.tripper.tick()
    three.store.write = usual
    three.tripper.tick()
    assert [
        one.failed for one in three.read("calls", three.clock() - timedelta(minutes=5)) if one.account == "aws"
    ] == [1]


def test_where_the_rules_cannot_be_asked_everything_is_held_until_they_can(three):
    three.run(20)

    def broken():
        raise RuntimeError("a mistake")

    tripper = Tripper(three.store, three.groups, clock=three.clock, limits=AT_ONCE, versions=broken)
    with pytest.raises(RuntimeError):
        tripper.tick()
    assert three.open() == {("C5", "fleet")}
    three.drift({"web/1"}, edited("/etc/x"))
    assert three.replacer.tick() == []
    assert len(three.messages("breaker-opened")) == 1
    three.tripper.tick()
    assert three.open() == set()


def test_many_openings_of_a_rule_at_once_are_one_message(herd):
    herd.run(20)
    files = [edited(f"/etc/x{part}").findings[0] for part in range(6)]
    herd.drift({f"web/{n}" for n in range(5)}, drifted(*files))
    herd.run(30)
    assert len([rule for rule, _ in herd.open() if rule == "C1"]) == 6
    (text,) = herd.messages("breaker-opened")
    assert "And 3 more like these: driftd breakers" in text


# --- the meter ---


def test_a_metered_provider_is_the_provider_with_its_calls_counted(three):
    meter = Meter(three.clock)
    provider = metered(three.provider, meter)
    assert provider.name == "fake"
    assert not isinstance(provider, Foreign) or isinstance(three.provider, Foreign)
    provider.compute.list({})
    with pytest.raises(NotFound):
        provider.compute.describe("nobody")
    three.provider.fail_next("traffic.targets", Unavailable("slow\x1b down"))
    with pytest.raises(Unavailable):
        provider.traffic.targets("web")
    three.provider.fail_next("compute.launch", Refused("no room"))
    with pytest.raises(Refused):
        provider.compute.launch(three.provider.servers["i-0001"].request)
    (one,) = meter.take()
    assert (one.calls, one.failed, one.refused, one.why) == (4, 1, 1, "no room")
    assert meter.take() == []


def test_what_a_provider_does_not_have_it_has_not_metered_either(three):
    three.provider.volumes = None
    assert metered(three.provider, Meter(three.clock)).volumes is None

    class Knowing(type(three.provider)):
        def foreign(self, group):
            return f"{group} is deployed"

    knowing = metered(Knowing(three.clock), Meter(three.clock))
    assert isinstance(knowing, Foreign)
    assert knowing.foreign("web") == "web is deployed"


def test_counts_that_could_not_be_kept_are_counted_again(three):
    meter = Meter(three.clock)
    meter.note("aws", failed=True, why="slow")
    taken = meter.take()
    meter.note("aws")
    meter.add(taken)
    minute = three.clock().replace(second=0, microsecond=0)
    assert meter.take() == [Calls("aws", minute, 2, 1, 0, "slow")]


def test_states_of_a_row(herd):
    herd.run(20)
    herd.drift(EVERY, edited("/etc/x"))
    herd.run(30)
    (row,) = [one for one in herd.read("breakers") if one.holds]
    assert (row.state, row.by, row.until, row.closes_by) == (State.OPEN, "", None, "a person")
