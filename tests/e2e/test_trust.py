"""Whose word a daemon takes, on real servers: what nobody vouches for is never replaced by, and never put in service.

They share one store; a configuration that takes unsigned manifests has a fleet of its own, in test_trust_unsigned.py.
"""

from __future__ import annotations

import pytest
from days import drift

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

REPLACING = {"enforce: replace": "enforce: replace"}
UNKNOWN = ["unknown"] * 3


def verdicts(day) -> list[str]:
    return [row.verdict.value for row in day.rows().values() if row.gone_at is None]


def replaced(day, victim: str):
    """The replacement of ``victim`` once it is over."""
    return day.wait(lambda: next((one for one in day.fleet.replacements() if one.old_id == victim), None))


def test_what_nobody_signed_is_unknown_and_nothing_is_replaced_until_somebody_does(day_of, golden_image):
    day = day_of(REPLACING, start=False)
    manifest = day.house.manifests.path_for(golden_image.id)
    envelope = manifest.with_name(manifest.name + ".dsse.json")
    kept = envelope.read_bytes()
    envelope.unlink()
    try:
        victim = drift(day)
        day.start()
        day.wait(lambda: verdicts(day) == UNKNOWN)
        day.still()
        audit = day.command("audit")
        assert audit.returncode == 3
        assert f"the manifest of {golden_image.id} is not signed, so nothing is judged by it" in audit.stdout
        assert "driftd manifest sign" in audit.stdout
        assert not day.fleet.replacements()
    finally:
        envelope.write_bytes(kept)
    day.succeeds(replaced(day, victim).rid)


def test_one_wrongly_signed_one_rolled_back_and_one_of_a_revoked_key_are_unknown(day_of, golden_image):
    day = day_of(REPLACING, start=False)
    home = day.fleet.stage.config.parent
    manifest = day.house.manifests.path_for(golden_image.id)
    envelope = manifest.with_name(manifest.name + ".dsse.json")
    old = envelope.read_bytes()
    victim = drift(day)
    envelope.write_bytes(old.replace(b'"sig": "', b'"sig": "A', 1))
    day.start()
    day.wait(lambda: verdicts(day) == UNKNOWN)
    assert "does not vouch for its manifest" in day.command("status").stdout
    day.still()

    envelope.write_bytes(old)
    day.succeeds(replaced(day, victim).rid)
    assert day.command("manifest", "sign", golden_image.id).returncode == 0
    day.wait(lambda: set(verdicts(day)) <= {"clean", "explained"} and seen(day, golden_image.id) == 2)
    newest = envelope.read_bytes()
    envelope.write_bytes(old)
    try:
        day.wait(lambda: verdicts(day) == UNKNOWN)
        said = f"the manifest of {golden_image.id} is an old one: its sequence is 1, and 2 was seen before"
        assert day.command("status").stdout.count(said) == 3
        day.still()
        day.stop()
        envelope.write_bytes(newest)
        assert day.command("manifest", "keygen", str(home / "keys/next")).returncode == 0
        day.change({**REPLACING, "keys/release.pub": "keys/next.pub"})
        day.start()
        day.wait(lambda: day.command("status").stdout.count("is not trusted here") == 3)
        assert verdicts(day) == UNKNOWN
        added = day.command("manifest", "sign", golden_image.id, "--add", "--key", str(home / "keys/next"))
        assert added.returncode == 0, added.stderr
        day.wait(lambda: set(verdicts(day)) <= {"clean", "explained"})
    finally:
        envelope.write_bytes(newest)


def seen(day, image: str) -> int:
    with day.house.store() as store, store.read() as tx:
        row = tx.manifest_seen(image)
        return row.sequence if row else 0
