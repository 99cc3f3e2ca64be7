"""How a calibration is told: to eyes in three lists, to programs in JSON; no name acts on a terminal."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from calibrating import added, everywhere, learnt, sample, showed
from rich.console import Console

from driftd.doors.desks.calibration import Intended, Outcome
from driftd.doors.report.calibration import SCHEMA, plan, render, values

INTENDED = Intended(
    "web",
    "golden",
    "local",
    ["web/calibration-1", "web/calibration-2"],
    ["after boot"],
    Path("/m/golden.manifest"),
    Path("/m/golden.overlay.yaml"),
)


def outcome(samples) -> Outcome:
    return Outcome(INTENDED, ("i-1", "i-2"), ("boot",), learnt(samples), b"", ("i-0 was ended",))


def printed(what) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160, force_terminal=False).print(what)
    return stream.getvalue()


@pytest.fixture
def taught() -> Outcome:
    return outcome(everywhere(added("/var/lib/x", "x"), showed("account", "bob", uid="7")))


def test_eyes_see_what_is_proposed_and_what_is_theirs(taught):
    text = printed(render(taught))
    for word in ("Proposed (1 rule)", "firstboot", "/var/lib/x", "For a person (1)", "account", "bob added", "i-0 was"):
        assert word in text
    assert "driftd manifest sign /m/golden.manifest --key KEY" in text


def test_a_signed_manifest_says_that_looks_are_refused_until_it_is_signed_anew(taught):
    signed = replace(taught, intended=replace(INTENDED, signed=True))
    assert "looks are refused until" in printed(render(signed))


def test_an_overlay_that_lies_elsewhere_is_in_force_nowhere(taught):
    elsewhere = replace(INTENDED, signed=True, output=Path("/tmp/x.yaml"), beside=Path("/m/golden.overlay.yaml"))
    text = printed(render(replace(taught, intended=elsewhere)))
    assert "looks are refused" not in text
    assert "in force nowhere yet: read it, move it to /m/golden.overlay.yaml" in text


def test_a_command_to_type_is_on_a_line_of_its_own_however_long(taught):
    stream = io.StringIO()
    Console(file=stream, width=40, force_terminal=False).print(render(taught), crop=False)
    assert "  driftd manifest sign /m/golden.manifest --key KEY" in stream.getvalue().splitlines()


def test_programs_get_all_of_it(taught):
    made = json.loads(json.dumps(values(taught)))
    assert (made["schema"], made["instances"], made["moments"]) == (SCHEMA, ["i-1", "i-2"], ["boot"])
    [rule] = made["proposed"]
    assert (rule["class"], rule["subject"], rule["id"]) == ("firstboot", "/var/lib/x", "var-lib-x")
    assert rule["evidence"][0].startswith("seen on 3 of 3 instances")
    [left] = made["left"]
    assert (left["kind"], left["subject"], left["change"]) == ("account", "bob", "added")
    assert made["notes"] == ["i-0 was ended"]


def test_nothing_to_say_is_said(taught):
    text = printed(render(outcome([sample("i-1", "boot", []), sample("i-2", "boot", [])])))
    assert "Proposed (no rules)" in text
    assert "For a person (nothing)" in text


def test_hostile_names_are_shown_and_not_obeyed():
    evil = b"/var/lib/\x1b[2J[red]\n\xff"
    made = outcome(everywhere(added(evil, "x"), added(evil + b".so", "x")))
    text = printed(render(made))
    assert "\x1b" not in text
    assert "[red]" in text
    assert json.loads(json.dumps(values(made)))["left"][0]["subject"].endswith("\\x0a\\xff.so")


def test_a_dry_run_names_what_it_would_replace():
    text = printed(plan(replace(INTENDED, replaces=True)))
    assert "which is there, and would be replaced" in " ".join(text.split())
    assert "web/calibration-2" in text


def test_where_nothing_needs_a_rule_no_overlay_is_to_be_signed(taught):
    text = printed(render(replace(taught, written=False)))
    assert "nothing needs a rule, so no overlay was written" in text
    assert "manifest sign" not in text
