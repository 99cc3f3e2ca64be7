"""Sentences about judges, alerts, other people's operations, slow start and quorum."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 3


def plain(text: str, longest: int = 200) -> str:
    """A stranger's words on one line: what cannot be printed becomes ?, and what is too long is cut."""
    line = "".join(one if one.isprintable() else "?" for one in " ".join(text[: 4 * longest].split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """A few of them by name, and how many more there are."""
    said = ", ".join(plain(name, 80) for name in names[:NAMED])
    return f"{said} and {len(names) - NAMED} more" if len(names) > NAMED else said


def alerts_unknown(group: str, why: str) -> str:
    return f"whether an alert fires for {group} is not known, which counts as one: {why}"


def alerts_firing(group: str, names: Sequence[str], matchers: Sequence[object]) -> str:
    """Which alerts block a group, by which matchers."""
    some = f"{len(names)} alerts fire" if len(names) != 1 else "1 alert fires"
    return f"{some} that block {group} ({', '.join(map(str, matchers))}): {listed(names)}"


def foreign_unknown(group: str, why: str) -> str:
    return f"whether somebody else changes {group} is not known, which counts as if: {why}"


def foreign_under_way(group: str, what: str) -> str:
    return f"somebody else changes {group}: {plain(what)}"
