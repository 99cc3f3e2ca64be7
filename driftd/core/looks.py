"""A look: one attempt to see one instance, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from driftd.core.attributed import Attribution
from driftd.core.facts import Coverage, Instance, Session
from driftd.core.findings import Judgement
from driftd.core.fingerprint import Extent
from driftd.core.manifest import Manifest
from driftd.core.marks import Mark
from driftd.core.shown import Exhibit

DISK = "disk"


@dataclass(frozen=True, slots=True)
class Look:
    """The result of auditing one instance: what the report shows and the store keeps.

    ``others`` are sessions that are not driftd's own; ``own`` are driftd's visits, recorded all the same.
    ``shown`` has, by path, what can be shown of changed files. ``root`` is b"" when the instance could not be seen.
    ``enforceable`` is False where nobody vouches for the manifest that it was judged by, so that nothing is replaced
    because of it, and nothing put in service. ``marks`` are what to hold the next look against, ``identities`` the
    digests of what makes it itself, by path. A ``partial`` look saw a few names and perhaps the sessions, and can only
    add: of what it does not show, what was known still stands. ``attributions`` has, by signature, what each finding is
    tied to; a partial look says nothing of that. ``manifest`` is what it was held against, ``policies`` name the
    documents that it was judged by. ``means`` is DISK where a disk was read and no instance was asked, else "".
    """

    instance: Instance
    at: datetime
    duration_s: float
    judgement: Judgement
    root: bytes = b""
    coverage: Coverage = Coverage()
    others: tuple[Session, ...] = ()
    own: tuple[Session, ...] = ()
    boot_id: str = ""
    hint: str = ""
    shown: Mapping[bytes, Exhibit] = field(default_factory=dict)
    enforceable: bool = True
    marks: tuple[Mark, ...] = ()
    identities: Mapping[bytes, bytes] = field(default_factory=dict)
    partial: bool = False
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    extent: Extent = Extent.WHOLE
    manifest: Manifest | None = field(default=None, compare=False, repr=False)
    policies: tuple[str, ...] = ()
    means: str = ""
