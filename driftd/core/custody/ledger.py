"""The ledger: which evidence was kept, and what became of it, as the journal's lines about it say. Pure.

There is no other record of it: the digest that a bundle is held against is the one in the hash chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from driftd.core import journal
from driftd.core.custody.terms import Held
from driftd.core.memory import JournalLine

SUBJECT = "evidence"  # of the journal's lines


@dataclass(frozen=True, slots=True)
class Kept:
    """One bundle. ``reached`` says whether the instance could be seen for it; the numbers are what it holds.

    ``because`` is why it was taken and ``by`` who asked ("driftd" for a replacement, whose id it then has).
    ``root`` is the provider's id of the copy of the root volume that goes with it, "" for none.
    ``gone`` says since when and why it is removed, "" while it is kept.
    """

    id: str
    instance_id: str
    group: str
    slot: str
    image: str
    at: datetime
    until: datetime
    size: int
    sha256: str
    reached: bool
    findings: int
    sessions: int
    files: int
    contents: int
    processes: int
    because: str
    by: str
    root: str = ""
    gone: str = ""

    @property
    def held(self) -> Held:
        """What the file must be."""
        return Held(self.size, self.sha256)

    @property
    def holds(self) -> str:
        """What is in it, in a few words."""
        if not self.reached:
            return f"what the store knew{' and a copy of the root volume' * bool(self.root)}; it could not be seen"
        parts = [
            f"{self.findings} finding{'s' * (self.findings != 1)}",
            f"{self.sessions} session{'s' * (self.sessions != 1)}",
            f"{self.files} changed file{'s' * (self.files != 1)} ({self.contents} with contents)",
            f"{self.processes} process{'es' * (self.processes != 1)}",
            *(["a copy of the root volume"] if self.root else []),
        ]
        return ", ".join(parts)

    def body(self) -> dict[str, object]:
        """For the journal."""
        values = asdict(self) | {"at": journal.instant(self.at), "until": journal.instant(self.until)}
        return {"kept": values.pop("id"), **{name: value for name, value in values.items() if name != "gone"}}


def removed(bundle_id: str, why: str) -> dict[str, object]:
    """The journal's line for one that is kept no longer."""
    return {"removed": bundle_id, "why": why}


def fetched(bundle_id: str, by: str) -> dict[str, object]:
    """The journal's line for a copy that somebody was given."""
    return {"fetched": bundle_id, "by": by}


def ledger(lines: Iterable[JournalLine]) -> dict[str, Kept]:
    """All that was ever kept, by id, oldest first. A line that a newer driftd wrote otherwise is passed over."""
    found: dict[str, Kept] = {}
    for line in lines:
        if "kept" in line.body:
            if (kept := _kept(line.body)) is not None:
                found[kept.id] = kept
        elif (gone := found.get(str(line.body.get("removed", "")))) is not None:
            said = f"{line.at:%Y-%m-%d %H:%M} UTC: {line.body.get('why', '')}"
            found[gone.id] = replace(gone, gone=said)
    return found


def _kept(body: Mapping[str, object]) -> Kept | None:
    """None for what this driftd does not understand."""
    values = {name: body.get(name) for name in _TYPES} | {"id": body["kept"], "root": body.get("root", "")}
    at, until = journal.read_instant(body.get("at")), journal.read_instant(body.get("until"))
    if at is None or until is None or any(type(values[name]) is not kind for name, kind in _TYPES.items()):
        return None
    return Kept(**values | {"at": at, "until": until})  # type: ignore[arg-type]  # each is of its type


_TYPES: Mapping[str, type] = {
    "id": str,
    "instance_id": str,
    "group": str,
    "slot": str,
    "image": str,
    "size": int,
    "sha256": str,
    "reached": bool,
    "findings": int,
    "sessions": int,
    "files": int,
    "contents": int,
    "processes": int,
    "because": str,
    "by": str,
    "root": str,
}
