"""Compare facts: the manifest's with those of a look, fieldwise. Nothing is judged here.

Three kinds of kinds. Most are read from *files*: compared where the manifest looked for the kind, and silent where it
did not, as the files themselves are compared, too. Some are *live* only. And some have both sides, what is configured
and what is live, as fields of one fact. The live side is held against the manifest where that was baked from a running
machine, and the world is closed otherwise: what the image does not explain (explain.py) is a difference.

What was kept from a look, in part or whole, is unknown and never gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import zip_longest

from driftd.core import explain
from driftd.core.difference import Change, Difference
from driftd.core.explain import Image
from driftd.core.facts import FACT_KINDS, Fact, by_kind
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest

LIVE_KINDS = frozenset({"binfmt", "bpf", "container", "firewall", "listener", "process"})
# Kinds with both sides, and the fields that tell of the live one.
LIVE_FIELDS = {
    "kernel": frozenset({"live"}),
    "module": frozenset({"live", "taint", "shown"}),
    "mount": frozenset({"live"}),
    "sysctl": frozenset({"live", "differs"}),
    "unit": frozenset({"live_dropins", "live_fragment", "live_reload", "live_state"}),
}
_OF_THE_KERNEL = frozenset({"kernel", "module", "sysctl"})
_SHOWN_TOGETHER = frozenset({"live", "configured"})
# Digests that are made with the image's key, and what else a table of secrets has besides: unknown without it.
_SECRET_KINDS = frozenset({"account", "group"})
_FROM_SECRETS = frozenset({"password", "digest", "expires", "aging", "admins"})
# sshd(8), AUTHORIZED_KEYS: what only restricts a key, and the one command that driftd may be held to.
_OWN_OPTIONS = re.compile(
    r"(?:(?:restrict|no-[a-z0-9-]+|(?:from|expiry-time)=\"[^\"\\]*\")(?:,|\Z))*"
    r"(?:command=\"(?:(?:/usr/bin/)?sudo -n )?/usr/[a-z/]+/(?:platform-)?python[0-9.]* -I -S -B -c .*)?",
    re.DOTALL,
)
_HIDDEN = re.compile(r"hidden (?:[0-9a-f]{32})?")


def compare(manifest: Manifest, fingerprint: Fingerprint, own_key: str = "") -> Iterator[Difference]:
    """Every difference between facts, by kind and name.

    ``own_key`` is the key that driftd comes with, by its fact's name ("root SHA256:..."): that one is no difference,
    as long as its line gives nobody more than driftd needs (docs/ssh.md).
    """
    image = Image(manifest, fingerprint)
    partly = {one.kind for one in fingerprint.kept}
    baked, there = manifest.kinds, by_kind(fingerprint.facts)
    for kind in fingerprint.seen_kinds():
        looked = kind in manifest.looked
        kind_of_kind = _Kind(
            kind=kind,
            files=looked and kind not in LIVE_KINDS,
            live=fingerprint.live and (kind in LIVE_KINDS or kind in LIVE_FIELDS),
            baked_live=looked and manifest.live,
            partly=kind in partly,
        )
        if kind_of_kind.files or kind_of_kind.live:
            found = there.get(kind, set())
            if kind == "key":
                mine = {fact for fact in found if fact.name == own_key and _OWN_OPTIONS.fullmatch(fact.get("options"))}
                found = (found - mine) | (found & baked.get(kind, frozenset()))
            yield from kind_of_kind.compare(image, baked.get(kind, frozenset()), found)


def unbaked(manifest: Manifest, fingerprint: Fingerprint) -> tuple[str, ...]:
    """The kinds that were seen and that the manifest says nothing of, so that nothing was held against it."""
    return tuple(kind for kind in fingerprint.seen_kinds() if kind not in manifest.looked and kind not in LIVE_KINDS)


def unasked(manifest: Manifest, fingerprint: Fingerprint) -> tuple[str, ...]:
    """The kinds that the manifest has and of which the look does not even say that they were kept from it."""
    said = {*fingerprint.looked, *(one.kind for one in fingerprint.kept)}
    return tuple(kind for kind in manifest.looked if kind not in said and (fingerprint.live or kind not in LIVE_KINDS))


def missed(manifest: Manifest, fingerprint: Fingerprint) -> tuple[str, ...]:
    """The kinds kept from the look, in part or whole, that something would have been held against: by name, once."""
    kinds = {one.kind for one in fingerprint.kept}
    return tuple(
        sorted(
            kind
            for kind in kinds
            if kind in manifest.looked or (fingerprint.live and kind in LIVE_KINDS) or kind not in FACT_KINDS
        )
    )


def secrets(manifest: Manifest) -> bool:
    """Whether the manifest has digests that only its key can be compared by."""
    return any(fact.kind in _SECRET_KINDS and fact.get("digest") for fact in manifest.facts)


# The files whose rows are facts, and of which nothing else matters; what a rule lets pass there is judged row by row.
_PASSWORDS = frozenset(b"/etc/" + name for name in (b"gshadow", b"gshadow-", b"shadow", b"shadow-"))


def of_passwords(
    found: Iterable[Difference], manifest: Manifest, fingerprint: Fingerprint, keyless: str
) -> Iterator[Difference]:
    """``found``, where files of passwords say so when no fact could tell a changed password.

    Then a rule that lets such a file differ, as its rows are judged, would let a password pass that nobody compared;
    with ``fields: {passwords: ""}`` it does not. ``keyless`` is why digests could not be made, "" when they could.
    """
    seen = fingerprint.seen_kinds()
    compared = (
        not keyless
        and all(kind in manifest.looked and kind in seen for kind in _SECRET_KINDS)
        and not any(kept.kind in _SECRET_KINDS for kept in fingerprint.kept)
        and not any(
            fact.kind in _SECRET_KINDS and fact.get("password") == "set" and not fact.get("digest")
            for fact in manifest.facts
        )
    )
    for one in found:
        if not compared and one.kind == "file" and one.subject in _PASSWORDS:
            yield replace(one, actual={**one.actual, "passwords": "not compared"})
        else:
            yield one


def _by_name(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    names: dict[str, list[Fact]] = {}
    for fact in sorted(facts):
        names.setdefault(fact.name, []).append(fact)
    return names


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is compared: by its files' side, its live side or both; ``partly`` when some was kept from us."""

    kind: str
    files: bool
    live: bool
    baked_live: bool
    partly: bool

    def compare(self, image: Image, baked: AbstractSet[Fact], there: AbstractSet[Fact]) -> Iterator[Difference]:
        """Equal facts cancel out, unless a live side is to be explained; the rest is paired by name, in order."""
        if self.files or self.baked_live:
            # What is equal is held against each other once: of as many as there are more here, there are more there.
            more = there - baked
            baked, there = (baked - there if len(baked) - len(there) + len(more) else set()), more
        before, after = _by_name(baked), _by_name(there)
        for name in sorted(before.keys() | after.keys()):
            for was, now in zip_longest(before.get(name, []), after.get(name, [])):
                found = self._pair(image, was, now)
                if found is not None:
                    yield found

    def _pair(self, image: Image, was: Fact | None, now: Fact | None) -> Difference | None:
        if now is None:
            return self._gone(was) if was is not None else None
        after = dict(now.fields)
        if was is None:
            alive = self.live and True in self._sides(after) and not explain.explains(image, now, None)
            if not alive and not (self.files and False in self._sides(after)):
                return None
            return Difference(self.kind, _subject(now), Change.ADDED, {}, self._told(image, now, after))
        before = dict(was.fields)
        names = {name for name in self._differing(before, after) if not self._is_live(name)} if self.files else set()
        if self.live:
            changed = self._live_changes(before, after)
            if changed and not (changed & after.keys() and explain.explains(image, now, was)):
                names |= changed
        if not names:
            return None
        if names & _SHOWN_TOGETHER:
            names |= _SHOWN_TOGETHER
        return Difference(
            self.kind,
            _subject(now),
            Change.MODIFIED,
            {name: value for name, value in before.items() if name in names},
            self._told(image, now, {name: value for name, value in after.items() if name in names}),
        )

    def _gone(self, was: Fact) -> Difference | None:
        """What was kept from us may well be there; a live side is missed only where one was baked."""
        sides = self._sides(dict(was.fields))
        missed = (self.files and False in sides) or (self.live and self.baked_live and True in sides)
        if self.partly or not missed:
            return None
        return Difference(self.kind, _subject(was), Change.REMOVED, dict(was.fields), {})

    def _sides(self, fields: Iterable[str]) -> set[bool]:
        """Of which sides a fact with these fields tells: True is the live one."""
        return {self._is_live(name) for name in fields} or {self.kind in LIVE_KINDS}

    def _is_live(self, field: str) -> bool:
        return self.kind in LIVE_KINDS or field in LIVE_FIELDS.get(self.kind, frozenset())

    def _live_changes(self, before: dict[str, str], after: dict[str, str]) -> set[str]:
        wanted = before if self.baked_live else {}
        wanted = {name: value for name, value in wanted.items() if self._is_live(name)}
        return self._differing(wanted, {name: value for name, value in after.items() if self._is_live(name)})

    def _differing(self, before: dict[str, str], after: dict[str, str]) -> set[str]:
        """The fields that differ, without those that cannot be told."""
        names = {name for name in before.keys() | after.keys() if not _same(before.get(name), after.get(name))}
        if self.partly:
            names &= after.keys()
        if self.kind in _SECRET_KINDS:
            if "unreadable" in (before.get("password"), after.get("password")):
                names -= _FROM_SECRETS
            if "digest" not in before or "digest" not in after:
                names.discard("digest")
        return names

    def _told(self, image: Image, now: Fact, fields: dict[str, str]) -> dict[str, str]:
        """What a rule has to know besides: whether what listens was baked, and whether the kernel is the image's."""
        if self.kind == "listener":
            return {**fields, "baked": "yes" if explain.program_baked(image, now) else "no"}
        if self.kind in _OF_THE_KERNEL and not image.has_kernel:
            return {**fields, "image_kernel": "none"}
        return fields


def _subject(fact: Fact) -> bytes:
    return fact.name.encode("utf-8", "surrogateescape")


def _same(was: str | None, now: str | None) -> bool:
    """Whether two values are the same, as far as can be told: a secret that has no digest on one side may be."""
    if was == now or was is None or now is None or "hidden " not in was:
        return was == now
    keyed = [
        "hidden " in value and all(len(word) > len("hidden ") for word in _HIDDEN.findall(value))
        for value in (was, now)
    ]
    return not all(keyed) and _HIDDEN.sub("hidden ", was) == _HIDDEN.sub("hidden ", now)
