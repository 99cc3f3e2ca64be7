"""What is kept of an instance's directories: by bucket, and never another's or a damaged one."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.glance.recalled import EVERY, Listed, pack_directories, read_directories, vector_of
from driftd.probe import stats

NAMES = st.lists(st.binary(min_size=1, max_size=4).filter(lambda one: b"\0" not in one), max_size=3, unique=True)
PLACES = st.tuples(st.sampled_from([b"/", b"/var"]), st.binary(max_size=3).map(lambda one: b"/" + one.hex().encode()))
TREES = st.dictionaries(PLACES, NAMES, max_size=12)


def listed(place, names):
    raw = b"\0".join([*place, *sorted(names)])
    return Listed(hashlib.sha256(raw).digest()[: stats.SIZE], tuple(sorted(names)), b"f" * len(names), raw[:8])


def of(tree):
    return {place: listed(place, names) for place, names in tree.items()}


def within(directories, numbers):
    return {place: one for place, one in directories.items() if stats.bucket(*place) in numbers}


@given(TREES, TREES)
@settings(max_examples=60, deadline=None)
def test_buckets_that_changed_take_the_place_of_the_old_ones_and_no_other_is_read(before, after):
    before, after = of(before), of(after)
    old, new = vector_of(before), vector_of(after)
    changed = {number for number in EVERY if old[16 * number :][:16] != new[16 * number :][:16]}
    data = pack_directories(old, before)
    assert read_directories(data, old) == before
    assert read_directories(data, old, changed) == within(before, changed)
    part = within(after, changed)
    assert vector_of(part, old, changed) == new
    assert pack_directories(new, part, data, changed) == pack_directories(new, after)


@given(TREES.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_damaged_or_of_another_time_is_nothing(tree, data):
    directories = of(tree)
    vector = vector_of(directories)
    whole = pack_directories(vector, directories)
    at = data.draw(st.integers(0, len(whole) - 1))
    for hurt in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole + b"x", b""):
        assert read_directories(hurt, vector) is None
    assert read_directories(whole, vector[::-1]) is None
    for other in (b"", b"something else", whole[:at]):
        assert pack_directories(vector, within(directories, {7}), other, {7}) == b""


@given(TREES.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_two_looks_at_once_leave_nothing_rather_than_half_of_each(tree, data):
    """What is kept by now of the other buckets is another look's: to mix both would hide what only that one saw."""
    mine = of(tree)
    place = data.draw(st.sampled_from(sorted(mine)))
    other = mine | {place: listed(place, [*tree[place], b"new"])}
    theirs = pack_directories(vector_of(other), other)
    wanted = {(stats.bucket(*place) + 1) % len(EVERY)}
    assert pack_directories(vector_of(mine), within(mine, wanted), theirs, wanted) == b""


@given(TREES.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_a_bucket_that_is_not_what_the_vector_says_is_not_read(tree, data):
    directories = of(tree)
    vector = vector_of(directories)
    place = data.draw(st.sampled_from(sorted(directories)))
    without = {other: one for other, one in directories.items() if other != place}
    mixed = pack_directories(vector, without)
    assert read_directories(mixed, vector) is None
    assert read_directories(mixed, vector, {stats.bucket(*place)}) is None
