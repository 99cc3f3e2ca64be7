"""What a rule may ask of the package transaction that explains a difference."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.core.difference import VERIFIED, Origin
from driftd.core.globs import Glob

UNPROVEN = "what the instance's books claim, whoever changed it may have written; only level verified lets pass"


@dataclass(frozen=True, slots=True)
class Transacted:
    """A package transaction: of one of ``packages`` (none: of any), and known to be ``level`` at least."""

    packages: tuple[Glob, ...] = ()
    level: str = VERIFIED

    @property
    def proven(self) -> bool:
        return self.level == VERIFIED

    def fits(self, origin: Origin | None) -> bool:
        """Whether ``origin`` is such a transaction."""
        if origin is None or (self.proven and origin.level != VERIFIED):
            return False
        name = origin.package.partition(":")[0].encode("utf-8", "surrogateescape")
        return not self.packages or any(glob.matches(name) for glob in self.packages)
