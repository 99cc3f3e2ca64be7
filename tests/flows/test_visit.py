"""What the store has of visits: each look's own time, and looks over one connection as one visit."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from driftd.core.facts import Instance
from driftd.core.findings import Judgement, Verdict
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow
from driftd.core.visits import Way
from driftd.edges.store import open_store
from driftd.flows.visit import Visitor

AT = datetime(2026, 1, 2, tzinfo=UTC)


def test_looks_that_share_a_connection_are_one_visit_each_with_its_own_time(tmp_path):
    store, ticks = open_store(f"sqlite:///{tmp_path}/driftd.db"), iter(range(1000))
    standing, others = [], []

    def clock():
        return AT + timedelta(seconds=next(ticks))

    def audit(instance, visits, _known):
        visit = instance.reach.visit
        if visit.trace.entered_at is None:
            visit.came(Way("192.0.2.1", 40000, "root", "SHA256:key"))
            visit.entered()
        standing.append(visit)
        others.append(visits())
        return Look(instance, clock(), 0.0, Judgement(Verdict.CLEAN, ""))

    with store.write() as tx:  # only one that was as its image is glanced at
        tx.put_instance(InstanceRow("i-1", "web", "", "img", "", "running", Verdict.CLEAN, "", "", AT, AT, AT))
    waits = [False, True, True, False, False]
    visitor = Visitor(
        store,
        audit,
        lambda _: "SHA256:key",
        clock=clock,
        standing=lambda _: standing[-1] if waits[len(standing)] else None,
    )
    for _ in waits:
        visitor(Instance("i-1", "web", "img"))
    with store.read() as tx:
        rows = tx.visits("i-1")
        assert tx.looked(AT, clock())["i-1"].times == 5
    store.close()
    assert [row.trace.scan == standing[0].trace.scan for row in rows] == [False, False, True, True, True]
    assert len({row.trace.came_at for row in rows}) == 3
    assert all(row.opened_at < row.closed_at < later.opened_at for later, row in pairwise(rows))
    assert [len(some) for some in others] == [0, 0, 0, 1, 2], "its own is none of the others, and one counts once"
