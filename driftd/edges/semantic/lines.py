"""Two texts line by line: difflib's unified form, bounded in time and in length."""

from __future__ import annotations

import difflib

from driftd.core.shown import LINES_LIMIT, VALUE_LIMIT

PRODUCT = 1_000_000  # lines of the one times lines of the other: what difflib is given at most
_CONTEXT = 3


def unified(before: bytes, after: bytes) -> tuple[str, ...]:
    """The lines of a unified comparison without its file names, at most LINES_LIMIT."""
    was, now = _lines(before), _lines(after)
    if was == now:
        if before == after:
            return ()
        return (r"\ only the ends of lines differ, or the last one's line feed",)
    start = _common(was, now)
    end = _common(was[start:][::-1], now[start:][::-1])
    above, below = max(0, start - _CONTEXT), min(end, _CONTEXT)
    was, now = was[above : len(was) - end + below], now[above : len(now) - end + below]
    if len(was) * len(now) > PRODUCT:
        made = [*(f"-{line}" for line in was), *(f"+{line}" for line in now)]
    else:
        made = list(difflib.unified_diff(was, now, n=_CONTEXT, lineterm=""))[2:]
        made = [_moved(line, above) for line in made]
    if len(made) > LINES_LIMIT:
        made = [*made[:LINES_LIMIT], rf"\ and {len(made) - LINES_LIMIT} lines more"]
    return tuple(line if len(line) <= VALUE_LIMIT else line[:VALUE_LIMIT] + "…" for line in made)


def _lines(text: bytes) -> list[str]:
    found = [line.rstrip("\r") for line in text.decode("utf-8", "backslashreplace").split("\n")]
    return found[:-1] if found[-1:] == [""] else found


def _common(one: list[str], other: list[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _moved(line: str, above: int) -> str:
    """A header's line numbers, counted from the file's beginning and not from where the comparison began."""
    if not line.startswith("@@ "):
        return line
    _, was, now, _ = line.split(" ", 3)
    return f"@@ {_shift(was, above)} {_shift(now, above)} @@"


def _shift(part: str, above: int) -> str:
    first, comma, count = part[1:].partition(",")
    return f"{part[0]}{int(first) + above}{comma}{count}"
