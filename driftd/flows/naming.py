"""What a person calls by its name: found, or refused in one sentence with what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from driftd.core.errors import BadInput
from driftd.core.memory import InstanceRow, Tx
from driftd.core.wording import holds as wording
from driftd.core.wording import near

SEE = "see: driftd status"


def the_instance(tx: Tx, name: str) -> InstanceRow:
    """The instance of this id, slot or address. Raises BadInput for none, and for several."""
    rows = tx.instances()
    found = [row for row in rows if row.called(name)]
    exactly = [row for row in found if row.id == name]
    if not found:
        raise BadInput(wording.unknown(name), near.hint(name, called(rows), SEE))
    if len(found) > 1 and not exactly:
        raise BadInput(wording.several(name, len(found)), "name one by its id: " + ", ".join(r.id for r in found[:8]))
    return (exactly or found)[0]


def called(rows: Iterable[InstanceRow]) -> Sequence[str]:
    """What people call these: slots and ids."""
    return [word for row in rows for word in (row.slot, row.id) if word]


def the_group(tx: Tx, name: str, configured: Sequence[str]) -> str:
    """A group that is configured, or that the store remembers. Raises BadInput."""
    if name in configured:
        return name
    known = [*configured, *(row.group for row in tx.instances(gone=True)), *(one.group for one in tx.pauses())]
    known += [one.group for one in (*tx.replacements(), *tx.stuck_replacements())]
    if name not in known:
        raise BadInput(wording.no_group(name), near.hint(name, known, SEE))
    return name
