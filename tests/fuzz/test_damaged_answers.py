"""Damaged answers by chance and by design: see fuzzing.py for the law. A million cases are a soak (docs/soak.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from damage import STREAMS, case
from fuzzing import GOOD, run, whole

CASES = 2000


def test_two_thousand_damaged_answers() -> None:
    came = run("suite", range(CASES))
    # Damage has to reach every layer, and some of it has to be none.
    for word in (
        "seen, as it says",
        "no probe answered",
        "nested too deep",
        "tree frame does not inflate",
        "a path stands twice in the hard links",
        "a row of facts has not the right fields",
        "a session has not the right fields",
        "block cut short",
    ):
        assert came[word], came
    assert came["seen, as it says"] > CASES / 50


def test_a_case_is_what_its_seed_says() -> None:
    assert [case(Random(f"x:{number}")) for number in range(50)] == [
        case(Random(f"x:{number}")) for number in range(50)
    ]
    assert len({stream for stream, _ in (case(Random(f"x:{number}")) for number in range(50))}) > 45


def test_the_undamaged_answers_are_seen_and_differ() -> None:
    assert [whole(stream) for stream in STREAMS] == GOOD
    assert len({good.root for good in GOOD}) == len(GOOD)  # type: ignore[union-attr]  # fuzzing.py has looked


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_million_damaged_answers() -> None:
    here = Path(__file__).with_name("fuzzing.py")
    halves = [
        subprocess.Popen([sys.executable, here, f"soak-{half}", "500000"], stdout=subprocess.PIPE) for half in (1, 2)
    ]
    said = [half.communicate()[0].decode() for half in halves]
    sys.stdout.write("\n".join(said))
    assert [half.returncode for half in halves] == [0, 0], said
