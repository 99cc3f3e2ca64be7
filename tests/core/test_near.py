"""What somebody may have meant."""

from driftd.core.wording import near


def test_the_nearest_name_is_suggested_and_far_ones_are_not():
    names = ["web/1", "web/2", "db/10", "i-0a1b2c3d"]
    assert near.nearest("wbe/1", names) == "web/1"
    assert near.nearest("I-0A1B2C3E", names) == "i-0a1b2c3d"
    assert near.nearest("payments", names) == ""
    assert near.nearest("x", []) == ""


def test_a_hint_says_what_was_meant_or_what_there_is():
    assert near.hint("web/11", ["web/1"]) == "did you mean web/1?"
    assert near.hint("web/11", ["web/1"], "see: driftd status") == "did you mean web/1? Else see: driftd status"
    assert near.hint("payments", ["a", "b", "a"]) == "there are: a and b"
    assert near.hint("payments", ["a"], "see: driftd status") == "see: driftd status"
    assert near.hint("payments", []) == "there are none"


def test_a_hostile_name_is_shown_and_not_obeyed():
    assert "\x1b" not in near.hint("web\x1b[2J", ["web\x1b[2K"])
