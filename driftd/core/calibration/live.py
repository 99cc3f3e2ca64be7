"""What is learnt of facts: what every pristine instance showed, by its exact name and with every field pinned.

A manifest that was baked from a directory knows nothing that is live; this is how an image gets to say what its
instances listen on, mount and are set to. A field that differs between instances cannot be pinned, so it is a person's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftd.core import globs
from driftd.core.calibration.naming import plain, plain_text
from driftd.core.calibration.never import why_not
from driftd.core.calibration.samples import Seen
from driftd.core.difference import Change, Difference
from driftd.core.rules import Match
from driftd.core.wording import listed

# Every field that a fact of the kind can have (docs/facts.md): those that were not there are pinned as not there.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "firewall": ("digest", "rules"),
    "hostkey": ("file", "type"),
    "kernel": ("configured", "image_kernel", "live"),
    "listener": ("baked", "namespace", "program", "protocol", "type", "user"),
    "module": ("configured", "image_kernel", "live", "shown", "taint"),
    "mount": ("configured", "live"),
    "sysctl": ("configured", "differs", "image_kernel", "live"),
    "unit": (
        "digest",
        "dropins",
        "fragment",
        "live_dropins",
        "live_fragment",
        "live_reload",
        "live_state",
        "schedule",
        "state",
        "wanted_by",
    ),
}


def learn(seen: Sequence[Seen], instances: Sequence[str]) -> Sequence[Match] | str:
    """What rules for one fact would fit, or why a person has to decide, as the end of a sentence.

    ``seen`` are all sightings of facts of one kind, name and change. Several values are learnt where every instance
    showed each of them.
    """
    if why := next((why for one in seen if (why := why_not(one.difference))), ""):
        return why
    showed: dict[str, set[tuple[tuple[str, str], ...]]] = {name: set() for name in instances}
    for one in seen:
        showed[one.sample.instance].add(tuple(sorted(_fields(one.difference).items())))
    if missing := sum(1 for values in showed.values() if not values):
        return f"{missing} of {len(instances)} instances never showed it"
    every = sorted(set().union(*showed.values()))
    if any(values != set(every) for values in showed.values()):
        differing = sorted({name for one in every for name, _ in set(one) ^ set(every[0])})
        return f"its {listed(differing)} {'is' if len(differing) == 1 else 'are'} not the same on every instance"
    first = seen[0].difference
    return [_match(first, plain(first.subject), dict(values)) for values in every]


def learn_host_keys(seen: Sequence[Seen], instances: Sequence[str]) -> Sequence[Match] | str:
    """Likewise of host keys of one file and type: each instance has one, and no two the same."""
    first = seen[0].difference
    if missing := len(set(instances) - {one.sample.instance for one in seen}):
        return f"{missing} of {len(instances)} instances never showed it"
    owners: dict[bytes, set[str]] = {}
    for one in seen:
        owners.setdefault(one.difference.subject, set()).add(one.sample.instance)
    if any(len(names) > 1 for names in owners.values()):
        return "it is what tells servers from one another, and more than one has the same"
    if len(owners) > len(instances) or first.change is not Change.ADDED:
        return "an instance did not keep its key"
    return [_match(first, "SHA256:*", _fields(first))]


def _fields(one: Difference) -> Mapping[str, str]:
    """As a rule is asked about them: what is now, and what was where nothing is now."""
    return {**one.expected, **one.actual}


def _match(one: Difference, name: str, fields: Mapping[str, str]) -> Match:
    names = sorted({*FIELDS.get(one.kind, ()), *fields})
    return Match(
        changes=frozenset({one.change}),
        facts={one.kind: (globs.word(name),)},
        fields={field: (globs.word(plain_text(fields.get(field, ""))),) for field in names},
    )
