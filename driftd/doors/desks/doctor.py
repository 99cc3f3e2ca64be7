"""What the doors may ask about how a deployment stands, and about a first configuration for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.checkup import Check


class DoctorDesk(Protocol):
    """Makes checks; nothing is looked at before they are run, and running them changes nothing.

    But for one thing that any visit leaves: a login is announced in the store, lest a later look take it for a
    stranger's.
    """

    def checks(self, targets: Sequence[str], *, login: bool, most: int) -> Sequence[Check]:
        """Everything that is configured, in the order in which it is to be told.

        ``targets`` name instances (id, slot, group, address), all when empty; of each group ``most`` are visited.
        Without ``login`` an instance is asked for its host key alone. Raises BadInput for a target that nobody knows.
        """
        ...
