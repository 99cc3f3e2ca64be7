"""Facts that an instance had: kept as the probe packed them, and read a row at a time."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from driftd.core import values
from driftd.core.facts import Fact, Kept
from driftd.core.framing import dictionary
from driftd.probe import bencode, wire

_BEGIN = b"d5:factsl"  # of a FACTS message, whose keys stand in their order (BEP 3)


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """``payload`` is the FACTS message as the probe packs it whole, b"" of none; ``lengths`` (u32 each) of its rows."""

    payload: bytes = b""
    lengths: bytes = b""

    @classmethod
    def of(cls, frames: Iterable[bytes]) -> KnownFacts:
        """The message that came in these frames."""
        found: dict[bytes, list[Any]] = {b"facts": [], b"looked": [], b"kept": []}
        for payload in frames:
            for key, rows in dictionary(payload).items():
                found.setdefault(key, []).extend(rows)
        sizes = [len(bencode.pack(row)) for row in found[b"facts"]]
        return cls(bencode.pack(found), struct.pack(f">{len(sizes)}I", *sizes))

    @property
    def digest(self) -> bytes:
        """What the probe calls the message by; b"" of none."""
        return hashlib.sha256(self.payload).digest() if self.payload else b""

    def read(self) -> tuple[tuple[Fact, ...], tuple[str, ...], tuple[Kept, ...]]:
        """The facts, the kinds that were looked for, and what was kept from the probe. Raises ``WireError``."""
        if not self.payload.startswith(_BEGIN) or len(self.lengths) % 4:
            raise wire.WireError("the facts that are known are not as they were kept")
        at, facts = len(_BEGIN), []
        for (size,) in struct.iter_unpack(">I", self.lengths):
            facts.append(values.fact_of(self.payload[at : at + size]))
            at += size
        rest = values.message(_BEGIN + self.payload[at:])
        looked = tuple(sorted(set(rest[b"looked"])))
        return values.sorted_facts(facts, looked), looked, tuple(rest[b"kept"])
