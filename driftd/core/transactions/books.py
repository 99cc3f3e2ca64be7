"""What the instance's own books say of packages that changed: which files are theirs, and in which run they came.

The lists and apt's history are asked for like any other showable file, so only where a pack lists them as showable. A
host's root writes these books, so all that follows from them is *claimed*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from driftd.core.asks import Answers, Ask
from driftd.core.causes.board import Books
from driftd.core.difference import Change, Difference
from driftd.core.entries import beginning_with
from driftd.core.fingerprint import Fingerprint
from driftd.core.showable import Show, show_for
from driftd.core.transactions.history import HISTORY, Transaction, read

INFO = b"/var/lib/dpkg/info/"
MOST = 500  # packages of one look whose lists are asked for


def changed(differences: Iterable[Difference]) -> list[Difference]:
    """The packages that came, went or changed, by name."""
    return sorted((one for one in differences if one.kind == "package"), key=lambda one: one.subject)


def asks(differences: Iterable[Difference], fingerprint: Fingerprint, shows: Iterable[Show]) -> list[Ask]:
    """What to ask of an instance whose packages differ."""
    packages = changed(differences)
    if not packages:
        return []
    entries = fingerprint.entries
    paths = {entry.path for start in (INFO, HISTORY) for entry in beginning_with(entries, start)}
    wanted = [HISTORY, *(path for one in packages[:MOST] for path in lists_of(one.subject) if path in paths)]
    showable = tuple(shows)
    found = ((path, show_for(path, showable)) for path in wanted if path in paths)
    return [Ask(path, "show", show.question()) for path, show in found if show is not None]


def lists_of(package: bytes) -> Iterator[bytes]:
    """Where dpkg may keep the list of a package's files."""
    yield INFO + package + b".list"
    yield INFO + package.partition(b":")[0] + b".list"


def lists(
    differences: Iterable[Difference], answers: Answers, baked: Mapping[bytes, bytes]
) -> dict[str, frozenset[bytes]]:
    """By a package's name, the paths that its list has or had, as far as they were told.

    ``baked`` are texts that bake kept, by path: what the image's version of a package had.
    """
    told = {ask.path: answer.content for ask, answer in answers.items() if ask.what == "show" and not answer.how}
    found: dict[str, frozenset[bytes]] = {}
    for one in changed(differences):
        rows = {
            line
            for texts in (told, baked)
            for path in lists_of(one.subject)
            for line in texts.get(path, b"").split(b"\n")
            if line.startswith(b"/") and line != b"/."
        }
        if rows:
            found[name_of(one)] = frozenset(rows)
    return found


def transactions(differences: Iterable[Difference], answers: Answers) -> dict[str, Transaction]:
    """By a package's name, the last run of apt that left it in the version that it has now."""
    text = next((answer.content for ask, answer in answers.items() if ask.path == HISTORY and not answer.how), b"")
    said: Sequence[Transaction] = read(text)
    found: dict[str, Transaction] = {}
    for one in changed(differences):
        name = name_of(one)
        version = "" if one.change is Change.REMOVED else one.actual.get("version", "")
        for run in said:
            if run.packages.get(name) == version:
                found[name] = run
    return found


def books(differences: Iterable[Difference], answers: Answers, baked: Mapping[bytes, bytes]) -> Books:
    """The same for grouping: what came in one run finds together."""
    packages = list(differences)
    runs = {name: run.name for name, run in transactions(packages, answers).items()}
    return Books(lists(packages, answers, baked), runs)


def name_of(difference: Difference) -> str:
    """A package's name as facts have it: ``nginx:amd64``."""
    return difference.subject.decode("utf-8", "surrogateescape")
