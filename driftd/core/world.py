"""What one replacement can see of the world, what it may do there, and the answers that a decision gives."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import GroupFacts, GroupRules
from driftd.core.hooks import Terms
from driftd.core.ports import Address, LaunchRequest, Target, TargetState, Volume
from driftd.core.replacement import State

TAG_RID = "driftd:rid"
TAG_SLOT = "driftd:slot"
TAG_ROLE = "driftd:role"
TAG_ATTEMPT = "driftd:attempt"
TAG_EPOCH = "driftd:epoch"
TAG_TAINT = "driftd:taint"  # since when somebody's session taints it; the store knows whose
TAG_QUARANTINE = "driftd:quarantine"  # the replacement that put it there
ROLE = "replacement"

OUT_OF_SERVICE = frozenset({TargetState.DRAINING, TargetState.MAINTENANCE})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each step may take, and how careful it is.

    ``dwell`` is the least time between the look that found the drift and the one that confirms it; ``plan_again`` is
    how long one that could not be planned gives way to others; ``absent`` is how long a launch without answer may
    stay unseen until it counts as never made; ``healthy_reads`` and ``gone_reads`` are readings in a row, and so are
    ``unseen_reads``, after which an instance that nobody ended counts as gone by itself. ``park`` is how long the old
    one is kept, stopped, before it is ended; 0 ends it at once.
    """

    dwell: timedelta = timedelta(seconds=60)
    confirm_timeout: timedelta = timedelta(minutes=30)
    plan_again: timedelta = timedelta(minutes=5)
    capture_timeout: timedelta = timedelta(minutes=20)
    launch_timeout: timedelta = timedelta(minutes=10)
    boot_timeout: timedelta = timedelta(minutes=10)
    verify_timeout: timedelta = timedelta(minutes=10)
    enroll_timeout: timedelta = timedelta(minutes=10)
    soak: timedelta = timedelta(minutes=10)
    canary_soak: timedelta = timedelta(minutes=30)
    drain_timeout: timedelta = timedelta(minutes=15)
    quiesce_timeout: timedelta = timedelta(minutes=10)
    stop_timeout: timedelta = timedelta(minutes=10)
    snapshot_timeout: timedelta = timedelta(minutes=15)
    detach_timeout: timedelta = timedelta(minutes=5)
    attach_timeout: timedelta = timedelta(minutes=5)
    address_timeout: timedelta = timedelta(minutes=2)
    serve_timeout: timedelta = timedelta(minutes=10)
    park: timedelta = timedelta(minutes=15)
    retire_timeout: timedelta = timedelta(minutes=15)
    settle_timeout: timedelta = timedelta(minutes=10)
    undo_timeout: timedelta = timedelta(minutes=30)
    absent: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=2)
    longest_pause: timedelta = timedelta(seconds=60)
    healthy_reads: int = 3
    gone_reads: int = 2
    unseen_reads: int = 150


@dataclass(frozen=True, slots=True)
class Manner:
    """How a group's slots are filled again, as far as that is for people to say.

    ``delete_first`` asks for that variant, which also needs ``allow_gap``. ``snapshots`` are taken of volumes before
    they move. ``hooks`` are the names of those that the group has, ``terms`` what is declared of some of them.
    ``isolates`` says that the provider can cut an instance's network. ``evidence`` is kept of the old one before
    anything is changed, for a rollout only with ``evidence_of_rollouts``; ``evidence_required``: without it nothing is
    changed.
    """

    delete_first: bool = False
    allow_gap: bool = False
    snapshots: bool = True
    hooks: frozenset[str] = frozenset()
    isolates: bool = False
    evidence: bool = False
    evidence_required: bool = False
    evidence_of_rollouts: bool = False
    terms: tuple[Terms, ...] = ()

    def terms_of(self, name: str) -> Terms:
        """What is declared of the hook ``name``, or else holds of every one."""
        return next((one for one in self.terms if one.name == name), Terms(name))


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at one instance (or the store's memory of one) amounts to, for a replacement.

    ``taint`` is set where a session asks for a replacement, whatever the files say; ``live`` counts the sessions of
    others that are on the instance right now. ``enforceable`` is False where nobody vouches for the manifest.
    """

    verdict: Verdict
    action: Action
    reason: str
    taint: str = ""
    live: int = 0
    enforceable: bool = True

    @property
    def trusted(self) -> bool:
        """Seen, and as the image says."""
        return self.verdict in {Verdict.CLEAN, Verdict.EXPLAINED}


@dataclass(frozen=True, slots=True)
class World:
    """What was observed for one record, all in this tick.

    ``old`` is None when it does not exist any more. ``newcomers`` carry our tag, oldest first. ``confirmed`` is a look
    at the old one, ``remembered`` what the store knows of it; ``seen`` a look at the newcomer and ``unhealthy`` its
    application's answer ("" serves, None not asked). ``impossible`` is why the provider would refuse the launch ("" for
    all that is known it would not, None not asked), ``judged`` why the judge is against the canary (likewise).
    ``volumes`` and ``addresses`` are those of the slot, ``snapshots`` the tokens of all that are listed (None not
    asked), ``rivals`` the slot's other instances that are none of ours. ``unplanned`` is what belongs to the
    slot and stands in no plan ("volume data-3"), with whose it is now: a list may have lacked it as the plan was made.
    ``paused`` is the sentence of the pause in force, or "": it holds forward steps, not an undo. ``frozen`` is the
    sentence of what stops every call, an undo's too, or "".
    """

    rules: GroupRules
    facts: GroupFacts
    old: Instance | None
    newcomers: tuple[Instance, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    confirmed: Sight | None = None
    remembered: Sight | None = None
    seen: Sight | None = None
    unhealthy: str | None = None
    impossible: str | None = None
    judged: str | None = None
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    snapshots: frozenset[str] | None = None
    rivals: tuple[Instance, ...] = ()
    unplanned: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = Manner()
    paused: str = ""
    frozen: str = ""

    @property
    def old_rests(self) -> bool:
        """The old one is stopped: it exists, and nothing of it runs."""
        return self.old is not None and self.old.state is InstanceState.STOPPED

    @property
    def old_lives(self) -> bool:
        """The old one exists and is not on its way out."""
        return self.old is not None and not self.old.state.ending

    @property
    def old_gone(self) -> bool:
        """The old one does not exist any more."""
        return self.old is None or self.old.state is InstanceState.TERMINATED


class Need(StrEnum):
    """What a decision wants to know beyond inventory and load balancer, since asking costs time."""

    LOOK_OLD = "look at the old one"
    LOOK_NEW = "look at the newcomer"
    HEALTH = "ask the newcomer's application"
    PREFLIGHT = "ask whether a launch would be refused"
    JUDGE = "ask the judge"
    SNAPSHOTS = "list the snapshots"


class Verb(StrEnum):
    """The calls that change something; CAPTURE changes what driftd keeps, and nothing in the world."""

    CAPTURE = "capture"
    LAUNCH = "launch"
    REGISTER = "register"
    DRAIN = "drain"
    DEREGISTER = "deregister"
    TERMINATE = "terminate"
    TAG = "tag"
    QUIESCE = "quiesce"
    SERVE = "serve"
    STOP = "stop"
    START = "start"
    SNAPSHOT = "snapshot"
    DETACH = "detach"
    ATTACH = "attach"
    ASSOCIATE = "associate"
    RELEASE = "release"
    ISOLATE = "isolate"
    PRE_DRAIN = "pre_drain"
    POST_ATTACH = "post_attach"
    PRE_TERMINATE = "pre_terminate"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changes something, complete: its intent holds every byte of it.

    ``thing`` is the volume or address that it is about, ``expected`` whose it is thought to be, ``token`` makes a
    snapshot the same one however often it is asked for.
    """

    verb: Verb
    instance_id: str = ""
    launch: LaunchRequest | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    thing: str = ""
    expected: str = ""
    token: str = ""

    def as_body(self) -> dict[str, object]:
        """For the journal and the record's intent."""
        body: dict[str, object] = {"call": self.verb.value}
        if self.instance_id:
            body["instance"] = self.instance_id
        if self.launch is not None:
            request = self.launch
            body["request"] = {
                "group": request.group,
                "slot": request.slot,
                "image": request.image,
                "token": request.token,
                "tags": dict(request.tags),
            }
        if self.tags:
            body["tags"] = dict(self.tags)
        more = {"thing": self.thing, "expected": self.expected, "token": self.token}
        return body | {name: value for name, value in more.items() if value}


def token(rid: str, step: str, attempt: int) -> str:
    """The idempotency token of a call: the same for every retry of one attempt, 52 ASCII characters."""
    digest = hashlib.sha256(f"{rid}|{step}|{attempt}".encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan freezes: the variant, the slot's volumes with their file systems, its addresses with their owners."""

    variant: str
    volumes: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advance:
    """The next state. ``outcome`` is set when that is UNDOING: where the undo ends. ``plan`` is what a plan froze.

    ``until`` is when to look at it again; None for at once. ``canary`` that it goes first.
    """

    state: State
    why: str
    verified: bool = False
    outcome: State | None = None
    plan: Plan | None = None
    until: datetime | None = None
    canary: bool = False


@dataclass(frozen=True, slots=True)
class Do:
    """Make this call."""

    call: Call
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until``.

    ``good`` is the new count of good readings in a row; ``restart`` starts the step's clock again (a pause is not the
    step's fault); ``guards`` are the names of those that refuse.
    """

    until: datetime
    why: str
    good: int = 0
    restart: bool = False
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """It is over."""

    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Halt:
    """It is over, and a person is needed: ``hint`` says for what."""

    state: State
    why: str
    hint: str


Answer = Advance | Do | Wait | Finish | Halt
