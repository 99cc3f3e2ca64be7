"""What the doors may ask about policies: what is wrong with them, how they judge cases, what they would have done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.review import Remark
    from driftd.core.trial import Result, Simulation


Tell = Callable[[str, int, int], None]
"""(what is done, how much of it, of how much)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One policy that was read: its name, how many rules it has, and what is to be said of them."""

    name: str
    rules: int
    remarks: tuple[Remark, ...]
    # Sentences about what it could not be held against.
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether something is to be mended."""
        return any(remark.wrong for remark in self.remarks)


class PolicyDesk(Protocol):
    """Reads policies before they bite. Raises BadInput with file, line and remedy for a document that is wrong."""

    def check(self, names: Sequence[str], *, manifests: Sequence[Path], history: timedelta | None) -> Sequence[Checked]:
        """Packs and files by name, else the policy of each configured group, else every pack.

        ``manifests`` are images to hold each against; of groups, those that are configured are taken by themselves.
        With ``history``, rules of a group's own documents that judged nothing for that long are told.
        """
        ...

    def test(self, places: Sequence[Path], policy: Sequence[str]) -> Sequence[Result]:
        """Hold every case in these files and directories against ``policy``, else the case's own, else its group's."""
        ...

    def record(self, directory: Path, targets: Sequence[str], tell: Tell) -> Sequence[tuple[str, Path | None, str]]:
        """Look at each target and keep it as a case: (instance, file, verdict). No file where it could not be seen."""
        ...

    def record_root(
        self, directory: Path, root: Path, manifest: Path, policy: Sequence[str]
    ) -> tuple[str, Path | None, str]:
        """The same of a directory, against a manifest's file."""
        ...

    def simulate(self, policy: Sequence[str], since: timedelta, group: str, tell: Tell) -> Simulation:
        """What ``policy`` (else each group's own, as it is now) would have made of what the store remembers.

        ``tell`` hears how many instances were replayed, of how many.
        """
        ...

    def schema(self) -> Mapping[str, object]:
        """The JSON Schema of a policy document."""
        ...
