"""A fleet in memory, a real store on disk, a clock that is held, and a driftd that may die at any call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from driftd.core.chain import Verified, verify
from driftd.core.facts import Coverage, Instance, Session
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupRules
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.ports import HookName, LaunchRequest
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.world import TAG_RID, TAG_ROLE, TAG_SLOT, Limits, Manner
from driftd.edges.bundles import BundleDirectory
from driftd.edges.store import open_store
from driftd.flows import replace as replacing
from driftd.flows.capture import Capturer, Taking
from driftd.flows.groups import Group
from driftd.flows.janitor import Janitor
from driftd.flows.replace import Replacer
from driftd.rehearsal.ground import empty
from driftd.testing import Crash, FakeClock, FakeProvider

BEAT_S = 2
LIMITS = Limits(
    dwell=timedelta(seconds=5),
    plan_again=timedelta(seconds=20),
    confirm_timeout=timedelta(seconds=60),
    capture_timeout=timedelta(seconds=60),
    launch_timeout=timedelta(seconds=60),
    boot_timeout=timedelta(seconds=60),
    verify_timeout=timedelta(seconds=60),
    enroll_timeout=timedelta(seconds=60),
    soak=timedelta(seconds=5),
    canary_soak=timedelta(seconds=5),
    drain_timeout=timedelta(seconds=60),
    stop_timeout=timedelta(seconds=60),
    quiesce_timeout=timedelta(seconds=60),
    snapshot_timeout=timedelta(seconds=60),
    detach_timeout=timedelta(seconds=60),
    attach_timeout=timedelta(seconds=60),
    address_timeout=timedelta(seconds=60),
    serve_timeout=timedelta(seconds=60),
    park=timedelta(seconds=6),
    retire_timeout=timedelta(seconds=90),
    settle_timeout=timedelta(seconds=60),
    undo_timeout=timedelta(seconds=180),
    absent=timedelta(seconds=20),
    poll=timedelta(seconds=BEAT_S),
    longest_pause=timedelta(seconds=5),
    unseen_reads=10,
)
HORIZON_S = 900


class FragileStore:
    """The real store; the process may die right before or right after its n-th commit."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.commits = 0
        self.die_before: int | None = None
        self.die_after: int | None = None

    @contextmanager
    def write(self):
        number, self.commits = self.commits, self.commits + 1
        with self.inner.write() as tx:
            yield tx
            if number == self.die_before:
                raise Crash
        if number == self.die_after:
            raise Crash

    def read(self):
        return self.inner.read()

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Simulation:
    """Three servers behind a load balancer; ``web/1`` is the one that drifted."""

    def __init__(
        self,
        home: Path,
        *,
        servers: int = 3,
        min_healthy: int = 2,
        limits: Limits = LIMITS,
        manner: Manner | None = None,
        owning: bool = False,
        named: timedelta | None = None,
    ) -> None:
        """With ``owning`` each slot has a data volume and an address; with ``named`` a name that lingers so long."""
        self.clock = FakeClock()
        slots = [f"web/{number}" for number in range(servers)] if owning or named else []
        self.volumes = {slot: f"vol-{slot[-1]}" for slot in slots} if owning else {}
        self.addresses = {slot: f"198.51.100.{slot[-1]}" for slot in slots}
        self.provider = FakeProvider(
            self.clock,
            volumes={name: slot for slot, name in self.volumes.items()},
            addresses={name: slot for slot, name in self.addresses.items()},
        )
        self.provider.health_s = 1
        for number in range(servers):
            request = LaunchRequest(
                "web", f"web/{number}", "golden", f"first-{number}", {"role": "web", TAG_SLOT: f"web/{number}"}
            )
            made = self.provider.compute.launch(request)
            self.provider.traffic.register("web", made)
            if owning:
                self.provider.volumes.attach(self.volumes[request.slot], made.id)
            if slots:
                self.provider.addresses.associate(self.addresses[request.slot], made.id)
        for name, one in self.provider.address_table.items():
            self.provider.address_table[name] = replace(one, linger=named or timedelta(0))
        if owning:
            self.provider.stateful.add("web")
            self.provider.services_write = True
            self.provider.hooked |= {HookName.QUIESCE, HookName.SERVE}
        self.servers = list(self.provider.servers)
        self.old = self.servers[1]
        self.clock.advance(5)
        self.provider.boot_s, self.provider.drain_s, self.provider.terminate_s = 2, 3, 2
        self.provider.load = 2
        self.first_event = len(self.provider.events)
        self.provider.calls.clear()
        file = home / "driftd.db"
        file.write_bytes(empty())
        self.store = FragileStore(open_store(f"sqlite:///{file}"))
        self.drifted = {self.old}
        self.unseen: set[str] = set()
        self.drifted_newcomers = False
        self.live_sessions = 0
        self.pause_file = ""
        self.crashes = 0
        rules = GroupRules(
            "web", min_healthy=min_healthy, enforce=Action.REPLACE, min_percent=0, pace=UNPACED, calendar=ALWAYS
        )
        self.group = Group(
            "web",
            self.provider,
            rules,
            limits,
            health=self.provider.health,
            hooks=self.provider.hooks,
            manner=manner or Manner(),
        )
        self.states: list[State] = []
        self.place = BundleDirectory(home / "evidence", 1 << 30)
        self.restart()

    def restart(self) -> None:
        """A new process on the same store."""
        capture = Capturer(self.store, self.place, self.see, clock=self.clock, generator="simulation")
        self.replacer = Replacer(
            self.store,
            {"web": self.group},
            self.look,
            clock=self.clock,
            pause=lambda _group: self.pause_file,
            capture=capture,
        )
        self.janitor = Janitor(self.store, {"web": self.group}, clock=self.clock, pause=lambda _group: self.pause_file)

    def see(self, instance: Instance, taking: Taking) -> Look:
        """A look that asks for evidence besides."""
        if instance.id not in self.unseen:
            taking.saw(Fingerprint((), (), (), (), Coverage(), b"r" * 32))
        return self.look(instance)

    def look(self, instance: Instance) -> Look:
        newcomer = instance.id not in self.servers
        if instance.id in self.unseen:
            judgement = Judgement(Verdict.UNKNOWN, "no answer in 10 s")
        elif instance.id in self.drifted or (newcomer and self.drifted_newcomers):
            judgement = Judgement(Verdict.DRIFTED, "1 finding, worst: high /etc/passwd modified", action=Action.REPLACE)
        else:
            judgement = Judgement(Verdict.CLEAN, "nothing differs from golden")
        session = Session("ssh", "mallory", "203.0.113.9", self.clock(), live=True)
        return Look(instance, self.clock(), 0.1, judgement, others=(session,) * self.live_sessions)

    def request(self, *, manual: bool = True, quarantine: bool = False) -> str:
        old = self.provider.compute.describe(self.old)
        return self.replacer.request(old, "drift was found", manual=manual, quarantine=quarantine)

    def record(self, rid: str) -> Record:
        with self.store.read() as tx:
            return tx.replacement(rid)

    def tick(self) -> None:
        """One beat of the daemon, which is started again when it dies."""
        try:
            said = self.replacer.tick()
            assert not [line for line in said if "it is tried again" in line], said
        except Crash:
            self.crashes += 1
            self.restart()
        self.clock.advance(BEAT_S)

    def steps(self, rid: str, horizon: int = HORIZON_S) -> Iterator[Record]:
        """The record after each beat until it is over."""
        for _ in range(horizon // BEAT_S):
            record = self.record(rid)
            if not self.states or self.states[-1] is not record.state:
                self.states.append(record.state)
            yield record
            if record.state in TERMINAL:
                return
            self.tick()
        raise AssertionError(f"did not end in {horizon} s: {self.record(rid)}")

    def run(self, rid: str, horizon: int = HORIZON_S) -> Record:
        *_, last = self.steps(rid, horizon)
        return last

    def stop_in(self, rid: str, state: State) -> bool:
        """Run, a decision at a time, until the record stands in ``state``."""
        usual, replacing.STEPS_A_TICK = replacing.STEPS_A_TICK, 1
        try:
            return any(record.state is state for record in self.steps(rid))
        finally:
            replacing.STEPS_A_TICK = usual

    def story(self, rid: str) -> list[str]:
        """Every state that it went through, by the journal."""
        with self.store.read() as tx:
            return [str(line.body["to"]) for line in tx.journal_lines(rid) if "to" in line.body]

    def tidy(self) -> None:
        """What the janitor does in the hours after."""
        self.provider.clear_faults()
        for _ in range(4):
            self.clock.advance(3600)
            self.janitor.tick()

    # --- what must always be true, read from the fake's own log ---

    def check(self, rid: str) -> None:
        """Invariants, from what really happened."""
        record = self.record(rid)
        self.check_events()
        alive, serving = set(self.provider.alive("web")), set(self.provider.in_service("web"))
        made = alive - set(self.servers)
        if record.state is State.SUCCEEDED:
            assert (self.old in alive) == record.quarantine
            assert len(made) == 1, f"newcomers: {made}"
            assert made <= serving
            tags = self.provider.servers[next(iter(made))].instance.tags
            assert not {TAG_RID, TAG_ROLE} & tags.keys(), "our marks are left"
            assert tags[TAG_SLOT] == "web/1"
            assert self.owners("web/1") <= made, "what the slot owns did not move"
        elif record.state is not State.STUCK:
            assert not made, f"orphans: {made}"
            assert self.old not in alive or self.owners("web/1") <= {self.old}, "what the slot owns did not move back"
            assert set(self.provider.backends["web"]) <= alive
        with self.store.read() as tx:
            answer = verify(tx.journal_lines())
        assert isinstance(answer, Verified), answer

    def owners(self, slot: str) -> set[str]:
        """Who has what the slot owns."""
        volume = self.provider.volume_table.get(self.volumes.get(slot, ""))
        address = self.provider.address_table.get(self.addresses.get(slot, ""))
        return {thing.attached_to for thing in (volume, address) if thing is not None}

    def check_events(self) -> None:
        """No request lost, never below the minimum, never a second extra, the old one never ended too early."""
        registered: set[str] = set()
        drained: set[str] = set()
        for event in self.provider.events[self.first_event :]:
            assert event.call not in {"lost", "two writers", "torn"}, event
            if event.call == "traffic.register":
                registered.add(event.subject)
                drained.discard(event.subject)
            if event.call in {"traffic.drain", "traffic.deregister"}:
                drained.add(event.subject)
            assert event.existing <= len(self.servers) + 1, event
            if event.call in {"traffic.drain", "compute.terminate", "provider.isolate"}:
                assert event.in_service >= self.group.rules.min_healthy, event
            if event.call in {"compute.terminate", "provider.isolate"} and event.subject == self.old:
                assert self.old in drained, "the old one was ended, or cut off, in service"
                healthy = [i for i in registered - drained if i not in self.servers]
                assert healthy, "the old one was ended, or cut off, before a newcomer had traffic"
