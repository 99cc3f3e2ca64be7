"""What is learnt of one path, or of several that differ only by a value in their name: a class, or why there is none.

A class is the narrowest that explains what was seen. One content on every instance is pinned by its digest; contents
that differ need a form that all of them have, or a place where nothing is obeyed and a way in which they changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from driftd.core import globs
from driftd.core.calibration.naming import plain_text
from driftd.core.calibration.never import HOST_KEY, why_not
from driftd.core.calibration.samples import Sample
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect, unmet
from driftd.core.findings import Action
from driftd.core.globs import Glob, protected
from driftd.core.interpreted import config

# Forms of what tells one server from all others: two that share one are no two servers.
IDENTITIES = frozenset({"hex32", "iscsi-name", "nvme-nqn", "ssh-private-key", "ssh-public-key", "uuid"})
_CONTENT = frozenset({"size", "sha256"})
_COMES_AND_GOES = "make it and take it away again"


@dataclass(frozen=True, slots=True)
class Track:
    """One path on one instance: what differed there in each of its samples, None where nothing did."""

    path: bytes
    steps: tuple[tuple[Sample, Difference | None], ...]

    @property
    def seen(self) -> tuple[tuple[Sample, Difference], ...]:
        return tuple((sample, one) for sample, one in self.steps if one is not None)

    @property
    def vanished(self) -> bool:
        """Whether it was there and then was not, or was again as baked."""
        there = [one is not None for _, one in self.steps]
        return any(before and not after for before, after in pairwise(there))

    def changes(self) -> Iterator[tuple[Sample, Difference, Difference]]:
        """Each change of content from one look to the next that saw it: the later sample, before, after."""
        for (_, before), (sample, after) in pairwise(self.seen):
            if _content(before) != _content(after):
                yield sample, before, after


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a rule would say. ``fields`` pin the values that were seen; ``how`` says what instances do with it."""

    how: str
    expect: Expect | None = None
    template: str = ""
    action: Action | None = None
    change: Change | None = None
    fields: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)


def learn(tracks: Sequence[Track], forms: Sequence[str], instances: int) -> Learnt | str:
    """What a rule for ``tracks`` would say, or why a person has to decide, as the end of a sentence.

    ``forms`` are the names of all templates, the narrowest first. ``instances`` is how many were launched.
    """
    seen = [one for track in tracks for _, one in track.seen]
    key = all(HOST_KEY.fullmatch(one.subject) and one.kind == "file" for one in seen)
    why = "" if key else next((why for one in seen if (why := why_not(one))), "")
    if why:
        return why
    if len({one.kind for one in seen}) > 1:
        return "it is not one kind of thing wherever it was seen"
    if {one.change for one in seen} == {Change.REMOVED}:
        return why_not(seen[0]) or _gone(tracks)
    if any(one.change is Change.REMOVED for one in seen):
        return _loose(tracks, Expect.EPHEMERAL, _COMES_AND_GOES, "it comes and goes")
    if len({_meta(one) for one in seen}) > 1 or any(" " in name for one in seen for name in one.actual):
        return _unpinned(tracks, seen)
    content = seen[0].kind == "file" and bool(_CONTENT & seen[0].actual.keys())
    learnt = _file(tracks, seen, forms, instances) if content else _still(tracks, seen)
    if key and not (isinstance(learnt, Learnt) and learnt.template.startswith("ssh-")):
        return learnt if isinstance(learnt, str) else why_not(seen[0])
    return learnt


def _content(one: Difference) -> tuple[str, str]:
    return one.actual.get("sha256", ""), one.actual.get("size", "")


def _meta(one: Difference) -> tuple[tuple[str, str], ...]:
    """Everything about it that is not its content, and the change itself."""
    fields = [(name, value) for name, value in one.actual.items() if name not in _CONTENT]
    return (("change", one.change), *sorted(fields))


def _pinned(one: Difference) -> Mapping[str, tuple[Glob, ...]]:
    """What is there now, to the byte. A name that no rule can ask for, as an attribute's, is not among it."""
    fields = {"same": "", **one.actual} if one.change is Change.ADDED and one.kind == "file" else one.actual
    return {name: (globs.word(plain_text(value)),) for name, value in sorted(fields.items()) if " " not in name}


def _open(tracks: Sequence[Track]) -> bool:
    """Whether all this lies where nothing is obeyed, so that a rule may let its content be any."""
    return not any(protected(track.path) or config(track.path) for track in tracks)


def _loose(tracks: Sequence[Track], expect: Expect, how: str, why: str) -> Learnt | str:
    """A class that lets more pass than was seen: only where nothing is obeyed. ``why`` is said where something is."""
    return Learnt(how, expect) if _open(tracks) else f"{why}, and it lies where something is obeyed"


def _gone(tracks: Sequence[Track]) -> Learnt | str:
    if not all(track.steps[-1][1] is not None for track in tracks):
        return _loose(tracks, Expect.EPHEMERAL, _COMES_AND_GOES, "it is gone, and comes back as it was baked")
    return Learnt("take it away", Expect.ABSENT, change=Change.REMOVED)


def _unpinned(tracks: Sequence[Track], seen: Sequence[Difference]) -> Learnt | str:
    """What no rule can be held to to the letter: access lists and other attributes, and modes that change."""
    why = "its mode, its owner or an attribute of it is not one that a rule could be held to"
    if any(one.change is not Change.ADDED or one.kind not in ("file", "directory") for one in seen):
        return why
    return _loose(tracks, Expect.EPHEMERAL, "make it, with one mode or another, or an access list", why)


def _still(tracks: Sequence[Track], seen: Sequence[Difference]) -> Learnt | str:
    """What has no content, and what differs in everything but content: expected only as it was seen."""
    one = seen[0]
    if one.change is Change.ADDED and one.kind == "directory" and not unmet(Expect.FIRSTBOOT, one):
        return Learnt("make it, with this owner and mode", Expect.FIRSTBOOT, change=one.change, fields=_pinned(one))
    if one.change is Change.MODIFIED and one.kind == "file":
        return "its mode or its owner is another than baked"
    if one.kind != "link" and not _open(tracks):
        return "it lies where what is obeyed lies"
    if int(one.actual.get("mode", "0"), 8) & 0o1002 == 0o0002 and one.kind != "link":
        return "everybody may write it"
    how = "link it there" if one.kind == "link" else "have it like this"
    return Learnt(how, action=Action.EXPLAIN, change=one.change, fields=_pinned(one))


def _file(tracks: Sequence[Track], seen: Sequence[Difference], forms: Sequence[str], instances: int) -> Learnt | str:
    if any(one.actual.get("sha256") in (None, "unread") for one in seen):
        return "its content could not be read"
    common = _forms(tracks)
    contents = {_content(one) for one in seen}
    if len(contents) == 1 and not (instances == 1 and common):
        return _one_content(tracks, seen[0], common, instances)
    if identity := _shared(tracks, common):
        return identity
    changed = [change for track in tracks for change in track.changes()]
    if changed and all(_grew(*change) for change in changed) and _open(tracks):
        return Learnt("only ever add to its end", Expect.GROWING)
    form = next((form for form in forms if form in common and not _refused(seen, form)), "")
    if form:
        return Learnt("give it a value of this form, each its own", Expect.TEMPLATE, form)
    if any(track.vanished for track in tracks):
        return _loose(tracks, Expect.EPHEMERAL, _COMES_AND_GOES, "it comes and goes")
    if changed:
        return _loose(tracks, Expect.VARIABLE, "write it anew while they run", "it is written anew while it is watched")
    why = "its content is another on each instance, of no known form"
    return _loose(tracks, Expect.VARIABLE, "have other content in it, each its own", why)


def _one_content(tracks: Sequence[Track], one: Difference, common: frozenset[str], instances: int) -> Learnt | str:
    everywhere = len({track.steps[0][0].instance for track in tracks}) > 1
    if everywhere and instances > 1 and common & IDENTITIES:
        return "it is what tells servers from one another, and more than one has the same"
    if why := unmet(Expect.FIRSTBOOT, one):
        return why
    return Learnt("set it to these bytes", Expect.FIRSTBOOT, change=one.change, fields=_pinned(one))


def _shared(tracks: Sequence[Track], common: frozenset[str]) -> str:
    """Two instances that have one identity, though not all do."""
    if not common & IDENTITIES:
        return ""
    owners: dict[tuple[str, str], set[str]] = {}
    for track in tracks:
        for sample, one in track.seen:
            owners.setdefault(_content(one), set()).add(sample.instance)
    shared = any(len(instances) > 1 for instances in owners.values())
    return "it is what tells servers from one another, and more than one has the same" if shared else ""


def _forms(tracks: Sequence[Track]) -> frozenset[str]:
    """The forms that every content seen has."""
    every = [sample.forms.get(track.path, frozenset()) for track in tracks for sample, _ in track.seen]
    return frozenset.intersection(*every) if every else frozenset()


def _grew(sample: Sample, before: Difference, after: Difference) -> bool:
    """Whether it became longer, and its old content is still its beginning (as far as that could be asked)."""
    if "size" not in before.actual:  # as long as baked, and something else: no end was added to
        return False
    longer = int(after.actual.get("size", "0")) > int(before.actual["size"])
    return longer and sample.kept.get(after.subject, True)


def _refused(seen: Sequence[Difference], form: str) -> bool:
    """Whether a template's other checks (mode, size) speak against it."""
    return any(unmet(Expect.TEMPLATE, one, form) for one in seen)
