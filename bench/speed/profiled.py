"""Where a full look's CPU goes: the probe's modules in this process, under Python's own profiler.

The profiler makes calls dearer than they are, so what is made of many small calls looks larger than it is.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
from pathlib import Path

from bench.speed import ours
from bench.speed.measured import Found
from driftd.probe import look, wire

TOP = 16


def profile(found: Found) -> None:
    """The functions that take most by themselves: name, calls, share of all."""
    asked = io.BytesIO(wire.encode_request(ours.NONCE, os.fsencode(found.bed.root), ()))
    request = wire.read_request(asked)
    watched = cProfile.Profile()
    watched.enable()
    for _ in look.answer(request):
        pass
    watched.disable()
    stats = pstats.Stats(watched).stats  # type: ignore[attr-defined]  # typeshed has it not
    whole = sum(entry[2] for entry in stats.values())
    taken = sorted(stats.items(), key=lambda item: item[1][2], reverse=True)[:TOP]
    found.profile = [
        {"name": _name(*where), "calls": entry[1], "share": round(entry[2] / whole, 4)} for where, entry in taken
    ]


def _name(file: str, _line: int, function: str) -> str:
    if file in {"~", ""}:
        return function.strip("<>").removeprefix("built-in method ").removeprefix("method ")
    return f"{Path(file).stem}.{function}"
