"""What calibration reads, looks at pristine instances, and what it concludes: rules, and what is left for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.difference import Change, Difference
from driftd.core.findings import Finding
from driftd.core.policy import DEFAULT_RULE
from driftd.core.rules import Rule


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one pristine instance, judged by its group's policy. ``moment`` is a word: boot, later, restart.

    ``findings`` are what no rule lets pass, ``explained`` what one does. ``forms`` are the templates that a file's
    content has, where it was asked; ``kept`` whether a file still begins with all that the look before saw of it.
    ``names`` are what tells this instance from the others wherever it is written: its id, its address.
    """

    instance: str
    moment: str
    findings: tuple[Finding, ...] = ()
    explained: tuple[Finding, ...] = ()
    forms: Mapping[bytes, frozenset[str]] = field(default_factory=dict)
    kept: Mapping[bytes, bool] = field(default_factory=dict)
    names: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One difference in one sample, and the rule that has already spoken of it ("" for none)."""

    sample: Sample
    difference: Difference
    rule: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What was not proposed: a person decides. ``evidence`` says where it was seen, without contents."""

    kind: str
    subject: bytes
    change: Change
    why: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was learnt: ``rules`` to propose, what is ``left`` for a person, and what was ``explained`` already.

    ``explained`` counts paths and facts by the rule that explains them.
    """

    rules: tuple[Rule, ...] = ()
    left: tuple[Left, ...] = ()
    explained: Mapping[str, int] = field(default_factory=dict)


def findings(samples: Sequence[Sample]) -> Iterator[Seen]:
    """Every finding of every sample, in their order."""
    for sample in samples:
        for one in sample.findings:
            spoken = one.rule != DEFAULT_RULE
            difference = Difference(one.kind, one.subject, one.change, one.expected, one.actual)
            yield Seen(sample, difference, one.rule if spoken else "", one.because if spoken else "")
