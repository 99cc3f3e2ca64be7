"""Where unsigned manifests are looked by, out loud: what they say is told, and nothing is ever replaced by it."""

from __future__ import annotations

import pytest
from days import drift

from driftd.core.replacement import State
from driftd.core.wording import trust as wording

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

REPLACING = {"enforce: replace": "enforce: replace"}


def test_where_unsigned_is_looked_by_nothing_is_replaced_and_no_newcomer_serves(day_of, golden_image):
    day = day_of({**REPLACING, "manifest_keys:": "unsigned: look\n  manifest_keys:"}, start=False)
    manifest = day.house.manifests.path_for(golden_image.id)
    envelope = manifest.with_name(manifest.name + ".dsse.json")
    kept = envelope.read_bytes()
    envelope.unlink()
    before = day.world()
    try:
        victim = drift(day)
        day.start()
        row = day.wait(lambda: (row := day.rows().get(victim)) and row.verdict == "drifted" and row)
        assert wording.UNSIGNED in row.reason
        assert wording.looking_unsigned() in day.said()
        day.still(2)
        rid = day.replace("web/1")
        record = day.over(rid)
        assert record.state is State.FAILED_CLEAN
        assert "nobody vouches for the manifest that" in record.fault
        assert day.world() == before
    finally:
        day.stop()
        envelope.write_bytes(kept)
