"""A rehearsal: what is played of a policy in a simulated world, what came of each seed, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

# What must always be true (docs/simulation.md): what it is called, and the whole of it.
INVARIANTS: Mapping[str, str] = {
    "connections": "no connection is lost by driftd's hand",
    "minimum": "no group is brought below its minimum in service",
    "volumes": "a volume has one writer, and is taken only off who does not run, after its snapshot",
    "newcomers": "a slot has one newcomer, and no more are under way than the budget allows",
    "verified": "the old one ends only when a verified newcomer serves in its place",
    "hooks": "before the old one is drained or ended, its owner's hooks were called, or may be gone without",
    "people": "what is held, has people on it, or was put back by a person is left alone",
    "pauses": "during a pause nothing goes forward, during a hard one nothing is changed",
    "zones": "two zones of a group are never under change at once",
    "alike": "of many that drift alike, none but the first is touched",
    "rest": "in the end one instance serves in each slot, with all that is its own, and nothing of ours is left",
    "answered": "who drifted is replaced, or waits with a sentence",
    "journal": "the journal's chain holds",
    "foreseen": "nothing happens in driftd that nobody foresaw",
}


class Broken(str):
    """One sentence that says how an invariant was violated; ``rule`` is which."""

    __slots__ = ("rule",)
    rule: str

    def __new__(cls, rule: str, sentence: str) -> Self:
        """Of this rule."""
        made = super().__new__(cls, sentence)
        made.rule = rule
        return made

    def __reduce__(self) -> tuple[type[Broken], tuple[str, str]]:
        """It goes from process to process."""
        return Broken, (self.rule, str(self))


@dataclass(frozen=True, slots=True)
class Lane:
    """One instance: its slot, and from which second on it was what ("serving", "draining" …; "gone" ends it)."""

    slot: str
    instance: str
    spans: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The picture of one seed. Seconds count from the drift's beginning; ``begins`` is the first one's time in words.

    ``ticks`` are the moments at which anything was looked at, in order: where nothing happened they are far apart.
    ``mishaps`` are (second, what happened, in words), ``serving`` by group (second, how many are in service).
    ``needed`` is each group's minimum, ``calm_at`` the second from which on everything was kind again.
    """

    begins: str = ""
    ticks: tuple[float, ...] = ()
    lanes: tuple[Lane, ...] = ()
    mishaps: tuple[tuple[float, str], ...] = ()
    serving: Mapping[str, tuple[tuple[float, int], ...]] = field(default_factory=dict)
    needed: Mapping[str, int] = field(default_factory=dict)
    calm_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """One seed: what was violated, which invariants were put to the test, and what the policy led to. Times in seconds.

    ``replaced`` are the times from a drift to the end of its replacement, ``outcomes`` how replacements ended or that
    they were still open. ``spent`` is the time that replacements spent by what they did or waited for.
    """

    seed: int
    broken: tuple[Broken, ...] = ()
    tested: frozenset[str] = frozenset()
    mishaps: tuple[str, ...] = ()
    replaced: tuple[float, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)
    lasted: float = 0.0
    timeline: tuple[str, ...] = ()
    score: Score = Score()


@dataclass(frozen=True, slots=True)
class Row:
    """One invariant over all seeds: in how many it was put to the test, and in which it was violated."""

    rule: str
    tested: int
    violated: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """The whole of it."""
        return INVARIANTS[self.rule]


@dataclass(slots=True)
class Rehearsed:
    """All seeds that were played so far. ``notes`` are sentences on what was rehearsed otherwise than configured,
    ``again`` is the command whose ``--seed`` plays one of them again.

    ``shown`` is the seed whose time line is drawn: the first that violated something, else the liveliest.
    """

    wanted: int
    notes: Sequence[str] = ()
    again: str = "driftd rehearse"
    seeds: int = 0
    tested: Counter[str] = field(default_factory=Counter)
    violated: dict[str, list[int]] = field(default_factory=dict)
    mishaps: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    replaced: list[float] = field(default_factory=list)
    lasted: float = 0.0
    broken: list[Played] = field(default_factory=list)
    shown: Played | None = None
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Nothing was violated."""
        return not self.broken

    @property
    def rows(self) -> list[Row]:
        """Each invariant."""
        return [Row(rule, self.tested[rule], tuple(sorted(self.violated.get(rule, ())))) for rule in INVARIANTS]

    @property
    def middle(self) -> float:
        """The median time from drift to replaced; 0 where none was."""
        return median(self.replaced) if self.replaced else 0.0

    @property
    def worst(self) -> float:
        """The longest of those times."""
        return max(self.replaced, default=0.0)

    def shares(self) -> list[tuple[str, float]]:
        """Of all time that replacements took, which part (0 to 1) went where; the largest first."""
        total = sum(self.spent.values())
        return [(what, seconds / total) for what, seconds in self.spent.most_common()] if total else []

    def add(self, one: Played) -> None:
        """One more seed."""
        self.seeds += 1
        self.tested.update(one.tested)
        self.mishaps.update(one.mishaps)
        self.outcomes.update(one.outcomes)
        for what, seconds in one.spent.items():
            self.spent[what] += round(seconds)
        self.replaced += one.replaced
        self.lasted += one.lasted
        for rule in {broken.rule for broken in one.broken}:
            self.violated.setdefault(rule, []).append(one.seed)
        if one.broken:
            self.broken.append(one)
            self.broken.sort(key=lambda played: played.seed)
        # Whatever the order in which they come: the same seeds show the same.
        if self.shown is None or _liveliness(one) > _liveliness(self.shown):
            self.shown = one


def _liveliness(one: Played) -> tuple[bool, int, int]:
    good = min(one.outcomes.get("succeeded", 0), 2) * 3 + min(len(one.mishaps), 6)
    return bool(one.broken), 0 if one.broken else good, -one.seed
