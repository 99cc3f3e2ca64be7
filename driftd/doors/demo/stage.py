"""What the story needs of its stage, and what it hands back. The stage itself is joined together in wiring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Where(StrEnum):
    """Whose servers the demo's are."""

    LOCAL = "local"
    AWS_EMULATED = "aws-emulated"


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the demo's group, as the view shows it."""

    slot: str
    id: str
    address: str
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class StepTime:
    """One state of the replacement and how long it lasted, in seconds."""

    state: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Scene:
    """How things stand now, read from the daemon's store and the load's own count."""

    servers: Sequence[Server] = ()
    findings: Sequence[Mapping[str, object]] = ()
    sessions: Sequence[str] = ()
    messages: Sequence[tuple[datetime, str]] = ()
    replacement: str = ""
    replacement_note: str = ""
    steps: Sequence[StepTime] = ()
    victim_seen: frozenset[str] = frozenset()
    requests: int = 0
    failed: int = 0


@dataclass(slots=True)
class Outcome:
    """What ``--json`` writes. ``held`` is true only if every promise of the demo held."""

    requests: int = 0
    failed: int = 0
    slow_requests: int = 0
    detected_after_s: float | None = None
    session_seen_after_s: float | None = None
    replaced_after_s: float | None = None
    findings: list[Mapping[str, object]] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    steps: list[StepTime] = field(default_factory=list)
    journal: Mapping[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.broken

    def as_json(self) -> dict[str, object]:
        """The outcome as JSON values."""
        return {"held": self.held, **asdict(self)}


class Stage(Protocol):
    """Everything real that the story is told with. Every method is one thing that happens."""

    def clean(self) -> list[str]:
        """Remove what an earlier run left; one line for each thing found."""
        ...

    def image(self, say: Callable[[str], None]) -> str:
        """Build or reuse the golden image and bake its manifest; says which. What takes long is said before."""
        ...

    def launch(self) -> str: ...

    def configure(self) -> str:
        """Write the ordinary configuration; returns its text."""
        ...

    def start_daemon(self) -> str: ...

    def start_load(self) -> str: ...

    def intrude(self) -> tuple[str, str]:
        """A person logs in and edits a file: (the victim's instance id, what was done)."""
        ...

    def scene(self) -> Scene: ...

    def daemon_ended(self) -> str:
        """Why the daemon ended; empty while it runs."""
        ...

    def stop_load(self) -> tuple[int, int, int, Sequence[str]]:
        """(requests, failed, slow ones among them, the first failures)."""
        ...

    def verify_journal(self) -> Mapping[str, object]:
        """``{"ok": bool, "lines": int, "head": str, "said": str}`` by ``driftd journal verify``."""
        ...

    def stop_daemon(self) -> int:
        """SIGTERM; its exit status."""
        ...

    def hints(self) -> Sequence[tuple[str, str]]:
        """(command, what it shows) to try next on a fleet that was kept; nothing where it broke off too early."""
        ...
