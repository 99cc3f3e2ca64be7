"""Manifests for a person's eyes: one summed up, some of its entries, and what differs between two.

Pure: manifests in, something that Rich can print out. Names are escaped and never taken for markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.core.difference import Change, Difference
from driftd.core.manifest import KIND_WORDS, Manifest
from driftd.core.manifesttext import class_counts
from driftd.core.seal import Seal
from driftd.core.wording import count, listed, printable, shown
from driftd.core.wording import trust as wording
from driftd.doors.cli.lines import columns, labelled
from driftd.doors.desks.trust import Standing
from driftd.probe import wire
from driftd.probe.wire import Entry

SIGNS: Mapping[Change, tuple[str, str]] = {
    Change.ADDED: ("+", "green"),
    Change.REMOVED: ("-", "red"),
    Change.MODIFIED: ("~", "yellow"),
}
_DIGEST = 12  # hexadecimal digits of a digest among others
_VALUE = 60  # characters of a value
_FEW = 4


def summary(standing: Standing) -> RenderableType:
    """What it is of, what it holds, of which classes, and who vouches for it."""
    made = standing.manifest
    title = Text(f"{printable(made.image)}  ", style="bold", no_wrap=True, overflow="ellipsis")
    title.append(printable(str(standing.file)), style="dim")
    grid = labelled()
    for name, digest in (("root", made.root), ("closed", made.closed)):
        grid.add_row(name, Text(digest.hex(), overflow="fold"))
    total = sum(entry.size for entry in made.entries)
    kinds = Counter(KIND_WORDS[entry.kind] for entry in made.entries)
    said = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    grid.add_row("entries", Text(f"{len(made.entries):,} ({said}), {total:,} bytes"))
    grid.add_row("facts", Text(_facts(made)))
    grid.add_row("read off", Text("a running server" if made.live or made.provisional else "a tree that did not run"))
    if made.unknown:
        paths = listed([shown(path) for path in made.unknown], most=_FEW)
        grid.add_row("unknown", Text(f"{count(len(made.unknown), 'path')} that could not be read: {paths}", "yellow"))
    grid.add_row("signed", _standing(standing))
    return Group(title, Padding(grid, (0, 0, 0, 2)), Padding(_classes(made), (1, 0, 0, 2)))


def _facts(made: Manifest) -> str:
    found = Counter(fact.kind for fact in made.facts)
    none = [kind for kind in made.looked if not found[kind]]
    there = ", ".join(f"{found[kind]:,} {kind}" for kind in made.looked if found[kind])
    return "; ".join(part for part in (there, f"none of {listed(none, most=len(none))}" if none else "") if part)


def _standing(standing: Standing) -> Text:
    made, seal = standing.manifest, standing.manifest.seal
    if seal is None:
        return Text(printable(standing.said), style="bold red" if standing.refused else "yellow")
    said = sealed(seal)
    if made.doubtful:
        said.append("; provisional: nothing is replaced because of it", style="yellow")
    elif made.provisional:
        said.append("; the signer vouches for the server that it was read off")
    return said


def sealed(seal: Seal) -> Text:
    """Who signed, when, and as which in the sequence."""
    text = Text("yes", style="green")
    text.append(f", by {wording.short(seal.key)}, sequence {seal.sequence}, ", style="default")
    text.append(f"{seal.signed_at:%Y-%m-%d %H:%M:%S} UTC", style="default")
    return text


def verified(standing: Standing) -> RenderableType:
    """A manifest that verified: who signed, and what is covered."""
    made, seal = standing.manifest, standing.manifest.seal
    title = Text("verified ", style="bold green")
    title.append(printable(made.image), style="bold default")
    grid = labelled()
    grid.add_row("signed", _standing(standing))
    for name, digest in sorted(seal.subjects.items() if seal else ()):
        grid.add_row("covers", Text(f"{digest[:16]}  {printable(name)}"))
    return Group(title, Padding(grid, (0, 0, 0, 2)))


def _classes(made: Manifest) -> Table:
    table = columns(("class", "entries", "such as"), long=("such as",), right=("entries",))
    for word, number in class_counts(made).items():
        some = [shown(path) for path, given in made.classes.items() if given.word == word]
        table.add_row(Text(word, "cyan"), f"{number:,}", Text(listed(some, most=_FEW), "dim"))
    return table


def entries(made: Manifest, chosen: Sequence[Entry]) -> RenderableType:
    """Entries one by one, as ``ls -l`` would, each with its class."""
    table = columns(("class", "kind", "mode", "owner", "size", "path"), long=("path",), right=("size",))
    for entry in chosen:
        owner = f"{entry.uid}:{entry.gid}"
        name = Text(shown(entry.path), "bold")
        if entry.kind == wire.LINK:
            name.append(f" -> {shown(entry.target)}", style="not bold dim")
        size = f"{entry.size:,}" if entry.kind == wire.FILE else ""
        given, kind = made.class_of(entry.path).word, KIND_WORDS[entry.kind]
        table.add_row(Text(given, "cyan"), kind, f"{entry.mode:04o}", owner, size, name)
    return table


def differences(found: Iterable[Difference]) -> RenderableType:
    """One line a difference: what became of it, what it is, and what of it was and is."""
    table = columns(("", "kind", "what"), long=("what",))
    table.show_header = False  # a sign says it
    for one in found:
        sign, style = SIGNS[one.change]
        what = Text(shown(one.subject), style="bold")
        for part in _changes(one):
            what.append(f"  {part}", style="not bold")
        table.add_row(Text(sign, style=style), Text(one.kind, style="dim"), what)
    return table


def _changes(one: Difference) -> Iterable[str]:
    if one.change is not Change.MODIFIED:
        fields = one.expected or one.actual
        names = [
            name for name in ("class", "mode", "size", "version", "target") if fields.get(name, "exact") != "exact"
        ]
        return [f"{name} {_value(name, fields[name])}" for name in names]
    names = sorted(one.expected.keys() | one.actual.keys(), key=lambda name: (name != "class", name == "sha256", name))
    return [
        f"{name} {_value(name, one.expected.get(name, ''))} → {_value(name, one.actual.get(name, ''))}"
        for name in names
    ]


def _value(name: str, value: str) -> str:
    if not value:
        return "none"
    if name in ("sha256", "digest") and len(value) > _DIGEST:
        return value[:_DIGEST] + "…"
    text = printable(value)
    return text if len(text) <= _VALUE else text[:_VALUE] + "…"


def as_json(standing: Standing) -> dict[str, object]:
    """The summary for a program."""
    made, seal = standing.manifest, standing.manifest.seal
    return {
        "schema": "driftd.manifest-summary/1",
        "file": str(standing.file),
        "image": made.image,
        "root": made.root.hex(),
        "closed": made.closed.hex(),
        "entries": len(made.entries),
        "bytes": sum(entry.size for entry in made.entries),
        "classes": dict(class_counts(made)),
        "facts": dict(Counter(fact.kind for fact in made.facts)),
        "unknown": [shown(path) for path in made.unknown],
        "provisional": made.provisional,
        "enforceable": made.enforceable,
        "signed": seal and {"key": seal.key, "sequence": seal.sequence, "at": f"{seal.signed_at:%Y-%m-%dT%H:%M:%SZ}"},
        "why_not": standing.said,
    }


def difference_json(one: Difference) -> dict[str, object]:
    """One difference for a program; ``subject`` is escaped where it is not plain text."""
    return {
        "kind": one.kind,
        "subject": shown(one.subject),
        "change": one.change.value,
        "was": dict(one.expected),
        "is": dict(one.actual),
    }
