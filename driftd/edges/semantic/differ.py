"""``Differ``: two texts read by their format and compared as documents; line by line beside it, and where that fails.

DeepDiff compares what is nested. Its time grows with the square of what it is given, so a document with more than
``LEAVES`` values, or nested deeper than ``DEPTH``, is compared line by line only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from driftd.core.shown import MARK, VALUE_LIMIT, Comparison, Setting
from driftd.edges.semantic import lines
from driftd.edges.semantic.reading import READERS, Document, UnreadableError

LEAVES = 1500
DEPTH = 24
SETTINGS_LIMIT = 100
ORDER = "the order of lines"


class SemanticDiffer:
    """Callable from any thread; holds nothing."""

    def compare(self, form: str, before: bytes, after: bytes) -> Comparison:
        """See ``Differ.compare``."""
        unified = lines.unified(before, after)
        was, now = _read(form, before), _read(form, after)
        if was is None or now is None:
            note = "" if form not in READERS else f"it could not be read as {form}, so it is compared line by line"
            return Comparison(lines=unified, note=note)
        settings = _settings(was, now)
        hidden = _hidden(was.value) or _hidden(now.value)
        cosmetic = not settings and not hidden and _first(before) == _first(after)
        return Comparison(settings, unified, cosmetic, _note(settings, hidden=hidden, cosmetic=cosmetic))


def _note(settings: tuple[Setting, ...], *, hidden: bool, cosmetic: bool) -> str:
    if cosmetic:
        return "cosmetic: only comments, white space or an order without meaning differ"
    if not settings and hidden:
        return "nothing that is shown says anything else, but values that are withheld may"
    if len(settings) >= SETTINGS_LIMIT:
        return f"only the first {SETTINGS_LIMIT} settings are shown"
    return "values that are withheld were not compared" if hidden else ""


def _first(text: bytes) -> bytes:
    """The first line where it is more than a comment: #!, #cloud-config, # -*- and their like are obeyed."""
    line = text.partition(b"\n")[0].strip()
    return line if line.startswith((b"#!", b"#cloud", b"#part", b"#include", b"##", b"# -*-")) else b""


def _read(form: str, text: bytes) -> Document | None:
    reader = READERS.get(form)
    if reader is None:
        return None
    try:
        found = reader(text.decode("utf-8"))
        _measure(found.value)
    except (UnreadableError, UnicodeDecodeError, RecursionError):
        return None
    return found


def _measure(value: Any) -> None:
    """Raises UnreadableError for what would take too long to compare."""
    leaves = 0
    todo = [(value, 0)]
    while todo:
        one, depth = todo.pop()
        leaves += 1
        if leaves > LEAVES or depth > DEPTH:
            raise UnreadableError
        if isinstance(one, dict):
            todo += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, (list, tuple)):
            todo += [(inner, depth + 1) for inner in one]


def _hidden(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_hidden(key) or _hidden(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return any(_hidden(inner) for inner in value)
    return isinstance(value, str) and MARK in value


def _settings(was: Document, now: Document) -> tuple[Setting, ...]:
    from deepdiff import DeepDiff  # noqa: PLC0415  # costs --help a quarter of a second

    tree = DeepDiff(
        was.value, now.value, view="tree", verbose_level=2, ignore_type_in_groups=[], threshold_to_diff_deeper=0
    )
    found = [setting for kind in sorted(tree) for level in tree[kind] for setting in _setting(level, was)]
    found.sort(key=lambda one: one.path)
    if not found and was.order != now.order:
        found = [Setting(ORDER, ", ".join(was.order)[:VALUE_LIMIT], ", ".join(now.order)[:VALUE_LIMIT])]
    return tuple(found[:SETTINGS_LIMIT])


def _setting(level: Any, document: Document) -> Iterator[Setting]:
    """One of DeepDiff's differences in plain words; a whole section that came or went, by what is in it."""
    place = level.path(output_format="list")
    before, after = (None if _absent(side) else side for side in (level.t1, level.t2))
    present = after if before is None else before
    if isinstance(present, dict) and present and not document.records and (before is None or after is None):
        for key, inner in present.items():
            path = document.name([*place, key])
            yield Setting(path, None, _words(inner)) if before is None else Setting(path, _words(inner), None)
        return
    was = None if _absent(level.t1) else _words(level.t1)
    now = None if _absent(level.t2) else _words(level.t2)
    if was == now:  # of two types
        was, now = (f'"{_words(side)}"' if type(side) is str else _words(side) for side in (level.t1, level.t2))
    yield Setting(document.name(place), was, now)


def _absent(side: Any) -> bool:
    return type(side).__name__ == "NotPresent"


def _words(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif value is None:
        text = "nothing"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(map(_words, value[:20])) + (", …" if len(value) > 20 else "") + "]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {_words(inner)}" for key, inner in list(value.items())[:20]) + "}"
    else:
        text = str(value) or '""'
    return text if len(text) <= VALUE_LIMIT else text[:VALUE_LIMIT] + "…"
