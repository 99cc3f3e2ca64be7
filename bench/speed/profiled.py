"""Where CPU goes: of a full look and of the stat stage by function, of a sweep's look by whose code it is.

The probe's modules run in this process, under Python's own profiler, by the thread's own clock. The profiler makes
calls dearer than they are, so what is made of many small calls looks larger than it is.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.speed import measured, ours
from bench.speed.measured import FACTS, Found
from driftd.probe import glance, look, wire

TOP = 16
LOOKS = 100


def profile(found: Found) -> None:
    """All three, under the names that the page has for them."""
    root = os.fsencode(found.bed.root)
    request = wire.read_request(io.BytesIO(wire.encode_request(ours.NONCE, root, ())))
    ours.look(found.bed, FACTS)
    (found.bed.work / "facts.out").write_bytes(ours.answer(found.bed))
    found.profile = {
        "full": functions(lambda: look.answer(request)),
        "stat": functions(lambda: glance.glance(glance.Memory(), ours.glancing(root))),
        "sweep": measured.swept(found.bed, LOOKS, 0, "--profile"),
    }


def functions(work: Callable[[], Iterator[object]]) -> list[dict[str, Any]]:
    """The functions that take most by themselves: name, calls, share of all."""
    watched = cProfile.Profile(time.thread_time)
    watched.enable()
    for _ in work():
        pass
    watched.disable()
    stats = pstats.Stats(watched).stats  # type: ignore[attr-defined]  # typeshed has it not
    whole = sum(entry[2] for entry in stats.values())
    taken = sorted(stats.items(), key=lambda item: item[1][2], reverse=True)[:TOP]
    return [{"name": _name(*where), "calls": entry[1], "share": round(entry[2] / whole, 4)} for where, entry in taken]


def _name(file: str, _line: int, function: str) -> str:
    if file in {"~", ""}:
        return function.strip("<>").removeprefix("built-in method ").removeprefix("method ")
    return f"{Path(file).stem}.{function}"
