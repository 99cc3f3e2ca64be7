"""The daemon's breakers as configured: what is new to a store is observed first, unless the configuration says not."""

from datetime import UTC, datetime, timedelta

import pytest

from driftd.edges.store import open_store
from driftd.settings import load
from driftd.wiring.breaking import Watch
from driftd.wiring.house import WiredHouse

CONFIG = """\
breakers: {{observe_first: {first}}}
groups:
  web: {{provider: static, hosts: [192.0.2.1], policy: [auto, own.yaml]}}
"""
POLICY = """\
schema: driftd.policy/1
name: own
rules:
  - {{match: {{kind: file, path: {path}}}, action: explain, because: ours}}
"""


@pytest.fixture
def tripped(tmp_path):
    """The breakers that a daemon which starts now holds."""
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")

    def run(first="24h", path="/etc/x"):
        (tmp_path / "own.yaml").write_text(POLICY.format(path=path))
        (tmp_path / "driftd.yaml").write_text(CONFIG.format(first=first))
        house = WiredHouse(load(tmp_path / "driftd.yaml"), tmp_path / "driftd.yaml")
        Watch(house, store).tripper(dict, house.now).tick()
        with store.read() as tx:
            return {one.scope: one.why for one in tx.breakers() if one.holds and one.rule == "C8"}

    yield run
    store.close()


def test_a_store_that_has_just_begun_only_observes(tripped):
    found = tripped()
    assert found.keys() == {"fleet", "group:web"}
    assert "driftd (" in found["fleet"]
    assert "the rules of web (" in found["group:web"]
    assert tripped().keys() == found.keys(), "a restart is no news and no end"


def test_unless_the_configuration_says_that_it_need_not(tripped):
    assert tripped(first="0s") == {}
    assert tripped(first="0s", path="/etc/y") == {}


def test_a_changed_policy_is_observed_again(tripped, tmp_path):
    tripped()
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    before = {one.what: (one.value, one.since) for one in _versions(store)}
    tripped(path="/etc/y")
    after = {one.what: (one.value, one.since) for one in _versions(store)}
    store.close()
    assert {what for what in before if before[what] != after[what]} == {"the rules of web"}


def test_every_call_of_the_daemon_counts_for_the_providers_breaker(tmp_path):
    """The keeper's and the janitor's, too: an account that throttles counts them all."""
    (tmp_path / "driftd.yaml").write_text(
        "groups: {web: {provider: static, hosts: [192.0.2.1]}}\nmetrics: {listen: ''}\n"
    )
    engine = WiredHouse(load(tmp_path / "driftd.yaml"), tmp_path / "driftd.yaml").engine()
    try:
        beats = {beat.name: beat.run for beat in engine.beats}
        beats["trip"]()
        before = _counted(tmp_path)
        beats["journal"]()
        beats["trip"]()
        assert _counted(tmp_path) == 2 * before + 1, "the keeper read the marks"
    finally:
        engine.stop()
        engine.close()


def _counted(home):
    store = open_store(f"sqlite:///{home / 'driftd.db'}", read_only=True)
    with store.read() as tx:
        counted = sum(one.calls for one in tx.calls(datetime.now(UTC) - timedelta(hours=1)))
    store.close()
    return counted


def _versions(store):
    with store.read() as tx:
        return tx.versions()
