"""What calibration asks of an instance while it looks: whose form a content has, and whether a file was only added to.

Contents are not read off an instance. It is told a form (a regular expression) and says whether a file has it, or a
length and says what digest the beginning of that length has (core/asks.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from driftd.core.asks import Answers, Ask
from driftd.core.calibration.forms import FORMS, candidates
from driftd.core.difference import Difference

Contents = Mapping[bytes, tuple[int, str]]


def asks(differences: Iterable[Difference], before: Contents) -> list[Ask]:
    """What to ask about files that differ: first whether they kept what the look ``before`` saw, then their form.

    ``before`` are sizes and digests by path.
    """
    files = [one for one in differences if one.kind == "file" and one.actual.get("sha256", "unread") != "unread"]
    longer = [
        Ask(one.subject, "prefix", b"%d" % before[one.subject][0])
        for one in files
        if one.subject in before and (_size(one) or 0) > before[one.subject][0]
    ]
    return longer + [
        Ask(one.subject, "match", FORMS[form]) for one in files for form in candidates(one.subject, _size(one))
    ]


def _size(one: Difference) -> int | None:
    """Bytes; None for a file that is as long as it was baked, as then nothing is said of its size."""
    return int(one.actual["size"]) if "size" in one.actual else None


def forms(answers: Answers) -> dict[bytes, frozenset[str]]:
    """By path, the names of the forms that its content has."""
    names: dict[bytes, set[str]] = {}
    for ask, answer in answers.items():
        if ask.what == "match" and not answer.how:
            found = names.setdefault(ask.path, set())
            found |= {name for name, pattern in FORMS.items() if pattern == ask.argument and answer.yes}
    return {path: frozenset(found) for path, found in names.items()}


def kept(answers: Answers, before: Contents) -> dict[bytes, bool]:
    """By path, whether a file that became longer still begins with all that it was before."""
    return {
        ask.path: answer.sha256.hex() == before[ask.path][1]
        for ask, answer in answers.items()
        if ask.what == "prefix"
        and not answer.how
        and ask.path in before
        and ask.argument == b"%d" % before[ask.path][0]
    }


def contents(differences: Sequence[Difference]) -> dict[bytes, tuple[int, str]]:
    """Sizes and digests of the files that differ, for the next look to ask about."""
    return {
        one.subject: (int(one.actual["size"]), one.actual["sha256"])
        for one in differences
        if one.kind == "file" and "size" in one.actual and one.actual.get("sha256", "unread") != "unread"
    }
