"""Classes of a manifest's entries: filled in from a policy when it is baked, and rules again when it is judged by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from driftd.core import globs
from driftd.core.classes import EXACT, Expected
from driftd.core.difference import Change, Difference
from driftd.core.drift import fields_of, kind_of
from driftd.core.expect import PATH_KINDS, Expect, unmet
from driftd.core.manifest import Manifest, classified
from driftd.core.rules import Match, Rule
from driftd.core.templates import TEMPLATES
from driftd.probe import wire
from driftd.probe.wire import Entry

if TYPE_CHECKING:  # judging asks for the rules here
    from driftd.core.policy import Policy

PACK = "manifest"
# Of what was baked, what an expectation may hold against it.
_HELD = ("mode", "flags", "xattr security.capability")
_ANYWHERE = b""
_BECAUSE = "The image's manifest says that it may"


# --- filling in ------------------------------------------------------------------------------------------------------


def filled(made: Manifest, policy: Policy) -> Manifest:
    """``made`` with the class of each entry, by the first rule of ``policy`` that speaks of it.

    It is exact where that rule expects nothing, or something that what was baked does not keep to; where what was baked
    can be run or is a device; and where only a rule speaks of it that expires.
    """
    rules = _by_place(rule for rule in policy.rules if rule.expires is None and rule.match.covers() & PATH_KINDS)
    found = {}
    for entry in made.entries:
        near = rules.get(_place(entry.path), rules[_ANYWHERE])
        if near.may(entry.path) and (given := _class(entry, near.rules)) != EXACT:
            found[entry.path] = given
    return classified(made, found)


def _place(path: bytes) -> bytes:
    """The first name of ``path``."""
    return path.split(b"/", 2)[1]


class _Near:
    """The rules that may speak of paths in one place, and whether any of them does: of most paths none."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._any = any(not rule.match.paths for rule in rules)
        patterns = {b"(?:%s)" % glob.regex.pattern for rule in rules for glob in rule.match.paths}
        self._paths = re.compile(b"|".join(sorted(patterns)), re.DOTALL)

    def may(self, path: bytes) -> bool:
        return self._any or self._paths.fullmatch(path) is not None


def _by_place(rules: Iterable[Rule]) -> Mapping[bytes, _Near]:
    """Rules in their order by the first name that their paths begin with: most speak of /etc or /var alone."""
    ordered = tuple(rules)
    places = [(rule, _places(rule)) for rule in ordered]
    names = {place for _, found in places for place in found} | {_ANYWHERE}
    return {name: _Near(tuple(rule for rule, found in places if {name, _ANYWHERE} & found)) for name in names}


def _places(rule: Rule) -> frozenset[bytes]:
    first = [glob.names[0] if glob.names else None for glob in rule.match.paths]
    if not first or any(name is None or name.wild for name in first):
        return frozenset((_ANYWHERE,))
    return frozenset(name.literal for name in first if name is not None)


def _class(entry: Entry, rules: Iterable[Rule]) -> Expected:
    fields = fields_of(entry)
    spoken = Difference(kind_of(entry), entry.path, Change.MODIFIED, fields, fields)
    rule = next((rule for rule in rules if rule.speaks_of(spoken)), None)
    if rule is None or rule.expect is None or rule.pattern or _runs(entry):
        return EXACT
    expect = rule.expect_of(spoken)
    given = Expected(expect.value, rule.template)
    # As if its content had changed and nothing else: that is what a class may allow at most.
    kept = {name: fields[name] for name in _HELD if name in fields}
    if not given.fits(entry.kind) or unmet(expect, replace(spoken, expected=kept, actual=kept), rule.form):
        # An open directory is itself as it was baked; what comes into it is not.
        return given if expect is Expect.OPEN_DIR and given.fits(entry.kind) else EXACT
    return given


def _runs(entry: Entry) -> bool:
    """Whether it can be run, or is a device: what is so is as it was baked, or a finding."""
    if entry.kind in (wire.CHAR, wire.BLOCK):
        return True
    return entry.kind == wire.FILE and (bool(entry.mode & 0o6111) or b"security.capability" in dict(entry.xattrs))


# --- judging ---------------------------------------------------------------------------------------------------------


def rules_for(difference: Difference, classes: Mapping[bytes, Expected]) -> Iterator[Rule]:
    """The rule that the manifest's own class of a path amounts to, if there is one: asked when no other rule spoke."""
    if difference.kind not in PATH_KINDS or not classes:
        return
    path = difference.subject
    given = classes.get(path)
    if given is None and difference.change is Change.ADDED:
        given = _open(path, classes)
    if given is None or (given.template and given.template not in TEMPLATES):
        return
    yield Rule(
        pack=PACK,
        id=given.word,
        match=Match(paths=(_literally(path),)),
        because=f"{_BECAUSE} ({given.word}).",
        # Below an open directory things come and go; it itself is as it was baked.
        expect=Expect(given.expect) if path in classes else Expect.EPHEMERAL,
        template=given.template,
    )


def _open(path: bytes, classes: Mapping[bytes, Expected]) -> Expected | None:
    """The class of the nearest directory above that has one, where that is an open one."""
    while path != b"/":
        path = wire.parent(path)
        if path in classes:
            return classes[path] if classes[path].expect == Expect.OPEN_DIR else None
    return None


def _literally(path: bytes) -> globs.Glob:
    return globs.path("/".join("".join(f"\\x{byte:02x}" for byte in name) for name in path.split(b"/")))
