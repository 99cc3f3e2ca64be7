"""Which zone an instance, a slot and a replacement are in, and what becomes of a name that is none."""

from dataclasses import replace

import pytest
from guarding import RECORD
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.zones import LONGEST, Placed, by_name, named, zone_of

LINES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=LONGEST)


@pytest.mark.parametrize("told", ["", "a", "eu-central-1b", "projects/7/zones/europe-west1-b", "Zone 3, Süd"])
def test_a_short_name_is_kept_as_it_is(told):
    assert named(told) == told


@pytest.mark.parametrize("told", ["a\nb", "a\x1b[31m", "  a", "a" * 64, "\udcff", "a\u202eb"])
def test_what_is_no_short_line_becomes_one(told):
    made = named(told)
    assert made.isprintable()
    assert 0 < len(made) <= LONGEST
    assert made[-9] == "~"
    assert named(made) == made


def test_none_is_told_by_none():
    assert named(None) == ""


@given(st.text(), st.text())
def test_two_that_differ_never_become_one(one, other):
    assert (named(one) == named(other)) is (one == other)


def test_a_replacement_is_in_its_slots_zone_whoever_is_left():
    zones = by_name(
        [Placed("i-0", "web", "web/0", "a"), Placed("n-0", "web", "web/0", "b"), Placed("i-9", "web", "", "c")]
    )
    assert zone_of(RECORD, zones) == "a", "it was there first"
    assert zone_of(replace(RECORD, old_id="gone"), zones) == "a"
    assert zone_of(replace(RECORD, slot="", old_id="i-9"), zones) == "c"
    assert zone_of(replace(RECORD, slot="web/7", old_id="gone", new_id="n-0"), zones) == "b"
    assert zone_of(replace(RECORD, slot="web/7", old_id="gone"), zones) == ""


def test_slots_of_one_name_are_told_apart_by_their_group():
    zones = by_name([Placed("i-0", "web", "0", "a"), Placed("d-0", "db", "0", "b")])
    assert zone_of(replace(RECORD, slot="0", old_id="gone"), zones) == "a"
    assert zone_of(replace(RECORD, group="db", slot="0", old_id="gone"), zones) == "b"
