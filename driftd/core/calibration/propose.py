"""Propose: looks at pristine instances in, an overlay's rules and what is left for a person out. Pure.

The same samples give the same rules in the same order, in whatever order the instances stand. Nothing is proposed that
does not explain what was seen: every rule is held against every sample before it leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from driftd.core import globs, wording
from driftd.core.calibration import live, naming, paths
from driftd.core.calibration.paths import Learnt, Track
from driftd.core.calibration.samples import Calibration, Left, Sample, Seen, findings
from driftd.core.difference import Change, Difference
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Action
from driftd.core.rules import Match, Rule, too_broad
from driftd.core.wording import calibration as words

CROWD = 300  # paths in one place
LONGEST = 4096  # characters of one value in a document
Keeps = Callable[[Rule, Sample, Difference], str]


def propose(samples: Sequence[Sample], forms: Sequence[str], keeps: Keeps, name: str = "overlay") -> Calibration:
    """What the samples of several instances of one image teach. Each instance's samples stand in the order of time.

    ``forms`` are the names of the templates, the narrowest first; ``keeps`` says why a difference of a sample does not
    keep to a rule that fits it ("" when it does); ``name`` is what the rules' document is called.
    """
    by_instance: dict[str, list[Sample]] = {}
    for sample in samples:
        by_instance.setdefault(sample.instance, []).append(sample)
    made = _Proposing({key: by_instance[key] for key in sorted(by_instance)}, forms, keeps, name)
    return made.calibration()


class _Proposing:
    def __init__(
        self, by_instance: Mapping[str, Sequence[Sample]], forms: Sequence[str], keeps: Keeps, name: str
    ) -> None:
        self._by_instance = by_instance
        self._forms = forms
        self._keeps = keeps
        self._name = name
        self._samples = [sample for samples in by_instance.values() for sample in samples]
        self._rules: list[Rule] = []
        self._ids: set[str] = set()
        self._left: list[Left] = []

    def calibration(self) -> Calibration:
        """All of it."""
        seen = self._unspoken(list(findings(self._samples)))
        self._paths([one for one in seen if one.difference.kind in PATH_KINDS])
        self._facts([one for one in seen if one.difference.kind not in PATH_KINDS])
        self._left.sort(key=lambda one: (one.kind, one.subject, one.change, one.why))
        return Calibration(tuple(self._rules), tuple(self._left), self._explained())

    def _explained(self) -> Mapping[str, int]:
        """By rule, how many paths and facts it explains already, on any instance."""
        subjects: dict[str, set[tuple[str, bytes]]] = {}
        for sample in self._samples:
            for one in sample.explained:
                subjects.setdefault(one.rule, set()).add((one.kind, one.subject))
        return {rule: len(subjects[rule]) for rule in sorted(subjects)}

    def _unspoken(self, seen: Sequence[Seen]) -> list[Seen]:
        """Without what a rule has spoken of: that a pristine instance does not keep to it is for a person to settle."""
        spoken = {_about(one): one for one in seen if one.rule}
        about: dict[tuple[str, bytes], list[Seen]] = {}
        for one in seen:
            about.setdefault(_about(one), []).append(one)
        for key, one in spoken.items():
            self._leave(about[key], words.spoken(one.rule, one.because))
        return [one for one in seen if _about(one) not in spoken]

    # --- paths ---

    def _paths(self, seen: Sequence[Seen]) -> None:
        for glob, group in self._uncrowded(self._grouped(self._tracks(seen))):
            sightings = [Seen(sample, one) for track in group for sample, one in track.seen]
            learnt = paths.learn(group, self._forms, len(self._by_instance)) if glob else words.NAMED_FOR_ONE
            if isinstance(learnt, str):
                self._leave(sightings, learnt)
                continue
            match = Match(
                paths=(globs.path(glob),),
                changes=frozenset({learnt.change}) if learnt.change else frozenset(),
                fields=learnt.fields,
            )
            self._add(glob, match, learnt, sightings)

    def _uncrowded(self, grouped: Sequence[tuple[str, list[Track]]]) -> list[tuple[str, list[Track]]]:
        """Without the directories in which so much happens that nobody would read a rule for each path."""
        places: dict[bytes, int] = {}
        for _, group in grouped:
            place = _place(group[0].path)
            places[place] = places.get(place, 0) + 1
        crowds = {place: number for place, number in places.items() if number > CROWD}
        for place, number in crowds.items():
            self._left.append(Left("directory", place, Change.ADDED, words.crowd(number)))
        return [(glob, group) for glob, group in grouped if _place(group[0].path) not in crowds]

    def _tracks(self, seen: Sequence[Seen]) -> list[Track]:
        found: dict[tuple[bytes, str], dict[int, Difference]] = {}
        for one in seen:
            found.setdefault((one.difference.subject, one.sample.instance), {})[id(one.sample)] = one.difference
        return [
            Track(path, tuple((sample, at.get(id(sample))) for sample in self._by_instance[instance]))
            for (path, instance), at in sorted(found.items(), key=lambda item: item[0])
        ]

    def _grouped(self, tracks: Sequence[Track]) -> list[tuple[str, list[Track]]]:
        """The tracks by path; those of several paths together where only a value in their names tells them apart.

        No glob stands for a path with such a value whose likes are not on every instance: a rule for it alone would
        speak of nothing ever again.
        """
        by_path: dict[bytes, list[Track]] = {}
        for track in tracks:
            by_path.setdefault(track.path, []).append(track)
        alike: dict[str, list[Track]] = {}
        for path, group in by_path.items():
            added = all(one.change is Change.ADDED for track in group for _, one in track.seen)
            if added and len(group) < len(self._by_instance):
                sample = group[0].seen[0][0]
                alike.setdefault(naming.general(path, sample.names) or naming.plain(path), []).extend(group)
            else:
                alike[naming.plain(path)] = group
        grouped: list[tuple[str, list[Track]]] = []
        for glob, group in alike.items():
            everywhere = {track.steps[0][0].instance for track in group} == set(self._by_instance)
            if everywhere or glob == naming.plain(group[0].path):
                grouped.append((glob, group))
            else:
                grouped += [("", by_path[path]) for path in sorted({track.path for track in group})]
        return sorted(grouped, key=lambda one: (one[1][0].path, one[0]))

    # --- facts ---

    def _facts(self, seen: Sequence[Seen]) -> None:
        instances = list(self._by_instance)
        groups: dict[tuple[str, bytes, str], list[Seen]] = {}
        for one in seen:
            difference = one.difference
            name = difference.subject
            if difference.kind == "hostkey":  # its name is its fingerprint, and tells the instances apart
                name = f"{difference.actual.get('file', '')} {difference.actual.get('type', '')}".encode()
            groups.setdefault((difference.kind, name, difference.change), []).append(one)
        for (kind, name, _), group in sorted(groups.items(), key=lambda item: item[0]):
            learn = live.learn_host_keys if kind == "hostkey" else live.learn
            found = learn(group, instances)
            if not isinstance(found, str) and not all(any(m.fits(one.difference) for m in found) for one in group):
                found = "a rule cannot name it"
            if isinstance(found, str):
                self._leave(group, found)
                continue
            how = "make their own" if kind == "hostkey" else "show this"
            for match in found:
                sightings = [one for one in group if match.fits(one.difference)]
                self._add(f"{kind} {wording.shown(name)}", match, Learnt(how, action=Action.EXPLAIN), sightings)

    # --- both ---

    def _add(self, about: str, match: Match, learnt: Learnt, seen: Sequence[Seen]) -> None:
        """Take the rule in if it holds for all that was seen; else leave that to a person."""
        rule = Rule(
            pack=self._name,
            id=naming.word(about, self._ids),
            match=match,
            because=words.because(learnt.how, self._instances(seen), len(self._by_instance)),
            expect=learnt.expect,
            template=learnt.template,
            action=learnt.action,
            evidence=tuple(self._evidence(seen)),
        )
        why = (
            _unwritable(match) or too_broad(rule) or next((why for one in seen if (why := self._unkept(rule, one))), "")
        )
        if why:
            self._leave(seen, why)
            return
        self._ids.add(rule.id)
        self._rules.append(rule)

    def _unkept(self, rule: Rule, one: Seen) -> str:
        if not rule.speaks_of(one.difference):
            return "a rule cannot name it"
        return self._keeps(rule, one.sample, one.difference) if rule.expect else ""

    def _leave(self, seen: Sequence[Seen], why: str) -> None:
        by_subject: dict[bytes, list[Seen]] = {}
        for one in seen:
            by_subject.setdefault(one.difference.subject, []).append(one)
        for subject, about in by_subject.items():
            first = about[0].difference
            self._left.append(Left(first.kind, subject, first.change, why, tuple(self._evidence(about))))

    def _instances(self, seen: Iterable[Seen]) -> int:
        return len({one.sample.instance for one in seen})

    def _evidence(self, seen: Sequence[Seen]) -> list[str]:
        """Where and when, and what by its digest; the digests are cut short, as a rule has those that matter whole."""
        moments = list(dict.fromkeys(sample.moment for sample in self._samples))
        there = [moment for moment in moments if any(one.sample.moment == moment for one in seen)]
        said = [words.where(self._instances(seen), len(self._by_instance), there)]
        contents = sorted(
            {
                (one.difference.actual["sha256"], one.difference.actual.get("size", ""))
                for one in seen
                if "sha256" in one.difference.actual
            }
        )
        return said + ([words.contents(contents)] if contents else [])


def _unwritable(match: Match) -> str:
    texts = [*match.paths, *(one for found in (*match.facts.values(), *match.fields.values()) for one in found)]
    return "what it says is longer than a rule may be" if any(len(one.text) > LONGEST for one in texts) else ""


def _about(one: Seen) -> tuple[str, bytes]:
    return one.difference.kind, one.difference.subject


def _place(path: bytes) -> bytes:
    """The first three names of a path's directory: about what one service calls its own."""
    return b"/".join(path.split(b"/")[:-1][:4]) or b"/"
