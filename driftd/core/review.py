"""A policy read with suspicion: rules that expired, are never reached, reach too far, or speak of nothing there is.

Nothing here changes what a rule does; ``driftd policy check`` says it to whoever keeps the policy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from driftd.core import globs, interpreted
from driftd.core.expect import PATH_KINDS
from driftd.core.globs import Glob
from driftd.core.manifest import Manifest
from driftd.core.policy import Policy
from driftd.core.rules import Match, Rule, Source
from driftd.core.wording import policies as say

SOON = timedelta(days=14)
# Whoever lets all below one of these differ has not said which program's state is meant.
_BRANCHES = tuple(globs.path(f"{place}/**") for place in ("/home", "/srv", "/var", "/var/lib", "/var/spool"))
_MUCH = 4  # a rule may let one of so many paths of an image differ without being called broad for that


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about one rule. ``wrong`` says that it is to be mended; else it is only to be known.

    ``what`` is "expired", "expiring", "shadowed", "covers", "broad", "idle" or "unused"; ``rule`` is "" when the
    remark is about a whole document.
    """

    what: str
    rule: str
    where: str
    said: str
    wrong: bool


def review(policy: Policy, now: datetime) -> list[Remark]:
    """What can be said of a policy by itself, in the order in which its rules are asked."""
    found: list[Remark] = []
    documents = _documents(policy)
    asked: list[Rule] = []
    for rule in policy.rules:
        if rule.expires is not None and rule.expired(now):
            found.append(_remark("expired", rule, say.expired(rule.expires)))
            continue
        if rule.expires is not None and (days := (rule.expires - now.date()).days) <= SOON.days:
            found.append(_remark("expiring", rule, say.expiring(rule.expires, days), wrong=False))
        by = next((other for other in asked if shadows(other, rule)), None)
        if by is not None:
            # A document that is named later is meant to have the last word over one that is named before.
            same = documents.get(rule.where) == documents.get(by.where)
            found.append(_remark("shadowed", rule, say.shadowed(by.name, by.where), wrong=same))
        found.extend(_reaching(rule))
        asked.append(rule)
    return found


def against(policy: Policy, manifest: Manifest) -> list[Remark]:
    """What can be said of it beside one image. Of shipped packs idle rules are only counted: they serve many images."""
    image = _Image(manifest)
    found: list[Remark] = []
    for pack in policy.packs or ():
        if pack.offered:
            continue
        idle = [rule for rule in pack.rules if not image.may_meet(rule.match)]
        if pack.own:
            found.extend(_remark("idle", rule, say.idle(manifest.image)) for rule in idle)
        elif idle:
            said = say.idle_packs(pack.name, len(idle), len(pack.rules), manifest.image)
            found.append(Remark("idle", "", pack.name, said, wrong=False))
        for rule in pack.rules:
            reached = image.loosened(rule)
            if reached * _MUCH > len(manifest.entries):
                found.append(_remark("broad", rule, say.lets(reached, len(manifest.entries), manifest.image)))
    return found


def unused(policy: Policy, used: Collection[str], since: datetime) -> list[Remark]:
    """Rules of a group's own documents that judged nothing that the store remembers; ``used`` names those that did."""
    return [
        _remark("unused", rule, say.unused(f"{since:%Y-%m-%d}"))
        for pack in policy.packs
        if pack.own
        for rule in pack.rules
        if rule.name not in used
    ]


def _remark(what: str, rule: Rule, said: str, *, wrong: bool = True) -> Remark:
    return Remark(what, rule.name, rule.where, said, wrong)


def _documents(policy: Policy) -> Mapping[str, str]:
    """The document of each rule, by where the rule stands."""
    return {rule.where: pack.name for pack in policy.packs for rule in pack.rules}


def _reaching(rule: Rule) -> Iterator[Remark]:
    if not rule.passes:
        return
    for glob in rule.match.paths:
        if any(globs.includes(glob, branch) for branch in _BRANCHES):
            yield _remark("broad", rule, say.broad(glob.text))
    covering = [glob for glob in rule.match.paths if interpreted.covered(glob)]
    places = {place.text.removesuffix("/**") for glob in covering for place in interpreted.covered(glob)}
    if places:
        yield _remark("covers", rule, say.covers([glob.text for glob in covering], sorted(places)), wrong=False)


# --- never reached ---------------------------------------------------------------------------------------------------


def shadows(first: Rule, rule: Rule) -> bool:
    """Whether ``first`` decides all that ``rule`` could. Where that cannot be told, it does not."""
    if first.expires is not None and (rule.expires is None or rule.expires > first.expires):
        return False  # it outlives the other
    mine, theirs = first.match, rule.match
    if not theirs.covers() <= mine.covers() or (
        mine.changes and not (theirs.changes and theirs.changes <= mine.changes)
    ):
        return False
    if not _includes_fields(mine.fields, theirs.fields) or not _includes_fields(mine.session, theirs.session):
        return False
    return all(
        _includes_all(mine.facts.get(kind, ()), theirs.facts.get(kind, ()))
        for kind in theirs.covers() - PATH_KINDS - {"session"}
    ) and (not theirs.covers() & PATH_KINDS or _includes_paths(first, rule))


def _includes_paths(first: Rule, rule: Rule) -> bool:
    if not _includes_all(first.match.paths, rule.match.paths):
        return False
    if not first.passes:
        return True
    # It is silent of config that it does not name; the other one may name it.
    return not any(
        glob.names_paths and _may_be_config(glob) and not _named_by(first.match, glob) for glob in rule.match.paths
    )


def _may_be_config(glob: Glob) -> bool:
    return any(globs.meet(place, glob) for place in (*interpreted.PLACES, *interpreted.NAMES))


def _named_by(match: Match, glob: Glob) -> bool:
    return any(one.names_paths and globs.includes(one, glob) for one in match.paths)


def _includes_all(outer: Sequence[Glob], inner: Sequence[Glob]) -> bool:
    """No glob at all stands for anything."""
    if not outer:
        return True
    return bool(inner) and all(any(globs.includes(one, other) for one in outer) for other in inner)


def _includes_fields(
    outer: Mapping[str, Sequence[Glob | Source]], inner: Mapping[str, Sequence[Glob | Source]]
) -> bool:
    return all(
        name in inner and all(any(_includes_one(one, other) for one in wanted) for other in inner[name])
        for name, wanted in outer.items()
    )


def _includes_one(one: Glob | Source, other: Glob | Source) -> bool:
    if isinstance(one, Source) and isinstance(other, Source):
        mine, theirs = one.network, other.network
        if isinstance(mine, IPv4Network) and isinstance(theirs, IPv4Network):
            return theirs.subnet_of(mine)
        if isinstance(mine, IPv6Network) and isinstance(theirs, IPv6Network):
            return theirs.subnet_of(mine)
        return one.network is None and globs.includes(one.glob, other.glob)
    return isinstance(one, Glob) and isinstance(other, Glob) and globs.includes(one, other)


# --- beside an image -------------------------------------------------------------------------------------------------


class _Image:
    """What an image has, for asking whether rules speak of it."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._paths = [entry.path for entry in manifest.entries]
        self._packages = frozenset(
            fact.name.encode("utf-8", "surrogateescape").partition(b":")[0]
            for fact in manifest.facts
            if fact.kind == "package"
        )

    def may_meet(self, match: Match) -> bool:
        """Whether something that a rule speaks of is there, or could come into a directory that is."""
        if match.paths:
            return any(self._holds(glob) for glob in match.paths)
        packages = match.facts.get("package", ())
        return not packages or any(glob.matches(name) for glob in packages for name in self._packages)

    def _holds(self, glob: Glob) -> bool:
        """The directory that its files lie in, as far as it is named."""
        plain = b""
        for name in glob.names[:-1]:
            if name is None or name.wild:
                break
            plain += b"/" + name.literal
        return not plain or self._has(plain)

    def _has(self, path: bytes) -> bool:
        at = bisect_left(self._paths, path)
        return at < len(self._paths) and self._paths[at] == path

    def loosened(self, rule: Rule) -> int:
        """How many paths of the image may differ by a rule over a subtree."""
        over = [glob for glob in rule.match.paths if not glob.names_paths]
        if not rule.passes or not over:
            return 0
        return sum(
            1 for path in self._paths if any(glob.matches(path) for glob in over) and not interpreted.config(path)
        )
