"""The contract of ``Queue``; whatever backs one passes the same."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from driftd.core.memory import Queue
from driftd.edges.store import SqlQueue, open_store

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


class QueueContract:
    """Subclass and give a fixture ``queue``."""

    def test_a_job_waits_once_under_its_key(self, queue: Queue):
        assert queue.put("look", "look/i-1", NOW, NOW)
        assert not queue.put("look", "look/i-1", later(5), NOW)
        (job,) = queue.take("look", 10, 30, NOW)
        assert (job.kind, job.key, job.due, job.attempts) == ("look", "look/i-1", NOW, 1)
        assert not queue.put("look", "look/i-1", NOW, NOW), "it runs"
        queue.done(job)
        assert queue.put("look", "look/i-1", NOW, NOW)

    def test_only_due_jobs_of_the_kind_longest_due_first(self, queue: Queue):
        queue.put("look", "b", later(2), NOW)
        queue.put("look", "a", later(1), NOW)
        queue.put("look", "z", later(60), NOW)
        queue.put("send", "s", NOW, NOW)
        assert [job.key for job in queue.take("look", 1, 30, later(10))] == ["a"]
        assert [job.key for job in queue.take("look", 9, 30, later(10))] == ["b"]
        assert queue.take("look", 9, 30, later(10)) == []
        assert [job.key for job in queue.take("look", 9, 30, later(60))] == ["a", "b", "z"]

    def test_those_that_wait_can_be_wanted_at_once(self, queue: Queue):
        queue.put("look", "a", NOW, NOW)
        queue.put("look", "b", later(300), NOW)
        queue.put("send", "s", later(300), NOW)
        (taken,) = queue.take("look", 1, 30, NOW)
        queue.hurry("look", later(1))
        assert [job.key for job in queue.take("look", 9, 30, later(1))] == ["b"], (
            "one that is worked on is not given out"
        )
        assert queue.take("send", 9, 30, later(1)) == []
        queue.retry(taken, later(60))
        assert queue.take("look", 9, 30, later(30)) == []

    def test_one_alone_can_be_wanted_at_once(self, queue: Queue):
        for key in "abc":
            queue.put("look", key, later(300), NOW)
        queue.hurry("look", later(1), "b")
        assert [job.key for job in queue.take("look", 9, 30, later(1))] == ["b"]
        queue.hurry("look", later(2), "b")
        assert queue.take("look", 9, 30, later(3)) == []

    def test_a_lease_that_runs_out_gives_the_job_back_and_counts(self, queue: Queue):
        queue.put("look", "a", NOW, NOW)
        (first,) = queue.take("look", 1, 30, NOW)
        assert queue.take("look", 1, 30, later(29)) == []
        (second,) = queue.take("look", 1, 30, later(30))
        assert (second.id, second.attempts) == (first.id, 2)

    def test_a_late_answer_changes_nothing(self, queue: Queue):
        queue.put("look", "a", NOW, NOW)
        (late,) = queue.take("look", 1, 30, NOW)
        (current,) = queue.take("look", 1, 30, later(30))
        queue.retry(late, NOW)
        assert queue.take("look", 1, 30, later(31)) == [], "the second taker still has it"
        queue.done(late)
        assert not queue.put("look", "a", NOW, NOW), "it still runs"
        queue.done(current)
        assert queue.put("look", "a", NOW, NOW)
        (new,) = queue.take("look", 1, 30, NOW)
        queue.done(current)
        assert not queue.put("look", "a", NOW, NOW), "an old answer is not about a new job"
        queue.done(new)

    def test_a_failed_job_comes_again_when_it_is_said_to(self, queue: Queue):
        queue.put("look", "a", NOW, NOW)
        (job,) = queue.take("look", 1, 30, NOW)
        queue.retry(job, later(60))
        queue.retry(job, later(1))
        assert queue.take("look", 1, 30, later(59)) == []
        (again,) = queue.take("look", 1, 30, later(60))
        assert (again.attempts, again.due) == (2, later(60))

    def test_who_knows_that_nobody_works_takes_all_back(self, queue: Queue):
        for key in ("a", "b"):
            queue.put("look", key, NOW, NOW)
        queue.put("send", "s", NOW, NOW)
        (late,) = queue.take("look", 1, 900, NOW)
        queue.take("send", 1, 900, NOW)
        queue.reclaim("look")
        assert [job.key for job in queue.take("look", 9, 30, NOW)] == ["a", "b"]
        assert queue.take("send", 9, 30, NOW) == [], "another kind's stay leased"
        queue.done(late)
        assert not queue.put("look", "a", NOW, NOW), "the new taker has it"

    def test_done_twice_is_done(self, queue: Queue):
        queue.put("look", "a", NOW, NOW)
        (job,) = queue.take("look", 1, 30, NOW)
        queue.done(job)
        queue.done(job)
        queue.retry(job, NOW)
        assert queue.take("look", 1, 30, later(99)) == []


class TestSqlQueue(QueueContract):
    @pytest.fixture
    def queue(self, tmp_path):
        store = open_store(f"sqlite:///{tmp_path}/driftd.db")
        yield SqlQueue(store)
        store.close()

    def test_jobs_that_nobody_takes_are_pruned_and_running_ones_are_not(self, tmp_path):
        store = open_store(f"sqlite:///{tmp_path}/driftd.db")
        queue = SqlQueue(store)
        for key in ("idle", "runs", "soon"):
            queue.put(key, key, later(900) if key == "soon" else NOW, NOW)
        queue.take("runs", 1, 600, NOW)
        with store.write() as tx:
            assert tx.prune(later(300))["jobs"] == 1
        assert queue.put("idle", "idle", NOW, NOW)
        assert not queue.put("runs", "runs", NOW, NOW)
        store.close()


class QueueModel(RuleBasedStateMachine):
    """The queue against a dictionary, time moving on by itself."""

    def __init__(self):
        super().__init__()
        self.queue = self.make()
        self.now = NOW
        self.jobs = {}  # key: [due, leased until or None, attempts]
        self.taken = []

    def make(self):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(f"sqlite:///{Path(self.folder.name) / 'q.db'}")
        return SqlQueue(self.store)

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    @rule(key=st.sampled_from("abc"), wait=st.integers(0, 30))
    def put(self, key, wait):
        due = self.now + timedelta(seconds=wait)
        assert self.queue.put("k", key, due, self.now) is (key not in self.jobs)
        self.jobs.setdefault(key, [due, None, 0])

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule()
    def wait_for_the_next(self):
        """Until something that is there can be taken: what only waiting reaches is reached often."""
        times = [max(due, until or due) for due, until, _ in self.jobs.values()]
        self.now = max([self.now, *times[:1]])

    @rule(limit=st.integers(1, 3), lease=st.integers(1, 10))
    def take(self, limit, lease):
        free = [
            (due, key)
            for key, (due, until, _) in self.jobs.items()
            if due <= self.now and not (until and until > self.now)
        ]
        jobs = self.queue.take("k", limit, lease, self.now)
        assert sorted(job.due for job in jobs) == sorted(due for due, _ in free)[:limit] == [job.due for job in jobs]
        for job in jobs:
            row = self.jobs[job.key]
            row[1], row[2] = self.now + timedelta(seconds=lease), row[2] + 1
            assert job.attempts == row[2]
            self.taken.append(job)

    def held(self, job):
        row = self.jobs.get(job.key)
        return row is not None and row[1] is not None and row[2] == job.attempts and job is self.newest(job.key)

    def newest(self, key):
        return [job for job in self.taken if job.key == key][-1]

    @rule(data=st.data())
    def done(self, data):
        if self.taken:
            job = data.draw(st.sampled_from(self.taken))
            self.queue.done(job)
            if self.held(job):
                del self.jobs[job.key]

    @rule(data=st.data(), wait=st.integers(0, 30))
    def retry(self, data, wait):
        if self.taken:
            job = data.draw(st.sampled_from(self.taken))
            due = self.now + timedelta(seconds=wait)
            self.queue.retry(job, due)
            if self.held(job):
                self.jobs[job.key][:2] = [due, None]

    @invariant()
    def nothing_is_lost_or_invented(self):
        with self.store.read() as tx:
            from driftd.edges.store.tables import JOB

            rows = {row["key"]: [row["due"], row["leased_until"], row["attempts"]] for row in tx.rows(JOB.select())}
        assert rows == self.jobs


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
