"""None of driftd's own visits is taken for a person, and no person's session for driftd's: by the thousand."""

import pytest
from visited import Counted, World

WAYS = [(False, False), (True, False), (True, True)]
WEAKER = [(False, True)]  # a plain key where addresses are translated (docs/ssh.md)


def counted(ways: list[tuple[bool, bool]], worlds: int, visits: int, persons: int) -> dict[int, Counted]:
    whole = {}
    for seed in range(worlds):
        world = World(seed, *ways[seed % len(ways)])
        world.happen(visits, persons)
        whole[seed] = world.judge()
    return whole


def held(whole: dict[int, Counted], own: int, persons: int) -> None:
    assert {seed: one.own_taken for seed, one in whole.items() if one.own_taken} == {}
    assert {seed: one.persons_taken for seed, one in whole.items() if one.persons_taken} == {}
    assert sum(len(one.own) for one in whole.values()) >= own
    assert sum(len(one.persons) for one in whole.values()) >= persons


def test_a_slice():
    held(counted(WAYS, 24, 15, 8), 300, 120)


def test_no_person_is_taken_for_driftd_by_a_plain_key_where_addresses_are_translated():
    """One who has driftd's own key, and no terminal, is left out: see docs/threat-model.md."""
    whole = counted(WEAKER, 8, 15, 8)
    assert {seed: one.persons_taken for seed, one in whole.items() if one.persons_taken} == {}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_by_the_thousand():
    held(counted(WAYS, 500, 24, 8), 10_000, 2_900)
