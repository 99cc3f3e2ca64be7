"""The store against a model in dictionaries: whatever order things happen in, findings and replacements agree."""

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_rows import finding, instance, later, record

from driftd.core.chain import Verified
from driftd.core.memory import StaleRecord
from driftd.core.replacement import TERMINAL, State
from driftd.edges.store import open_store

INSTANCES = st.sampled_from(["i-1", "i-2", "i-3"])
SIGNATURES = st.sampled_from(["s-1", "s-2"])


class StoreModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 's.db'}"
        self.store = open_store(self.url)
        self.clock = 0
        self.findings = {}  # id: [instance, signature, first, last, resolved]
        self.records = {}  # rid: Record as kept
        self.lines = 0
        with self.store.write() as tx:
            for name in ("i-1", "i-2", "i-3"):
                tx.put_instance(instance(name))

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    def now(self):
        self.clock += 1
        return later(self.clock)

    def open_finding(self, name, signature):
        return [n for n, row in self.findings.items() if row[:2] == [name, signature] and row[4] is None]

    @rule(name=INSTANCES, signature=SIGNATURES)
    def see(self, name, signature):
        now = self.now()
        with self.store.write() as tx:
            row = tx.add_finding(name, finding(signature), now)
        known = self.open_finding(name, signature)
        if known:
            assert [row.id] == known
            self.findings[row.id][3] = now
        else:
            assert row.id not in self.findings, "a number is never given twice"
            self.findings[row.id] = [name, signature, now, now, None]

    @rule(name=INSTANCES, signature=SIGNATURES)
    def resolve(self, name, signature):
        now = self.now()
        for number in self.open_finding(name, signature):
            with self.store.write() as tx:
                tx.resolve_finding(number, now)
            self.findings[number][4] = now

    @rule(back=st.integers(0, 20))
    def prune(self, back):
        before = later(self.clock - back)
        with self.store.write() as tx:
            tx.prune(before)
        self.findings = {n: row for n, row in self.findings.items() if row[4] is None or row[4] >= before}

    @rule(slot=st.sampled_from(["", "web/1", "web/2"]), old=INSTANCES, state=st.sampled_from(list(State)))
    def plan(self, slot, old, state):
        new = record(f"r{len(self.records)}", slot=slot, old_id=old, state=state, created_at=self.now())
        others = [row for row in self.records.values() if row.state not in TERMINAL]
        clash = state not in TERMINAL and any(row.old_id == old or (slot and row.slot == slot) for row in others)
        with self.store.write() as tx:
            assert tx.add_replacement(new) is not clash
        if not clash:
            self.records[new.rid] = new

    @rule(data=st.data(), stale=st.booleans(), state=st.sampled_from(sorted(TERMINAL)))
    def move(self, data, stale, state):
        if not self.records:
            return
        kept = self.records[data.draw(st.sampled_from(sorted(self.records)))]
        moved = replace(kept, state=state, note=f"at {self.clock}")
        with self.store.write() as tx:
            if stale:
                with pytest.raises(StaleRecord):
                    tx.save_replacement(replace(moved, version=kept.version + data.draw(st.sampled_from([-1, 1, 5]))))
            else:
                tx.save_replacement(moved)
                self.records[kept.rid] = replace(moved, version=kept.version + 1)

    @rule(keep=st.booleans())
    def write_a_line(self, keep):
        with suppress(ZeroDivisionError), self.store.write() as tx:
            tx.journal("decision", "s", {"n": self.lines}, self.now())
            assert keep or 1 / 0
            self.lines += 1

    @rule()
    def start_again(self):
        self.store.close()
        self.store = open_store(self.url)

    @invariant()
    def agrees(self):
        with self.store.read() as tx:
            opened = {
                row.id: [row.instance_id, row.finding.signature, row.first_seen, row.last_seen, None]
                for row in tx.open_findings()
            }
            assert opened == {n: row for n, row in self.findings.items() if row[4] is None}
            for number, row in self.findings.items():
                assert tx.finding(number).resolved_at == row[4]
            assert {row.rid: row for row in tx.replacements(1000)} == self.records
            still = {rid for rid, row in self.records.items() if row.state not in TERMINAL}
            assert {row.rid for row in tx.open_replacements()} == still
        answer = self.store.verify_journal()
        assert isinstance(answer, Verified)
        assert answer.count == self.lines


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
