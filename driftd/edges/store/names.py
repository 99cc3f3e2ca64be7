"""Names for a shell's completion, read with nothing but SQLite: everything else takes longer than a key press may."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

_PATIENCE_S = 0.2
_MOST = 1000
_OF = {
    "instances": "SELECT id FROM instance WHERE gone_at IS NULL ORDER BY id",
    "slots": "SELECT DISTINCT slot FROM instance WHERE gone_at IS NULL ORDER BY slot",
    "groups": 'SELECT DISTINCT "group" FROM instance WHERE gone_at IS NULL ORDER BY 1',
    "replacements": "SELECT rid FROM replacement WHERE open ORDER BY rid",
    "replaced": "SELECT slot FROM replacement WHERE open ORDER BY slot",
    "signatures": "SELECT DISTINCT signature FROM finding WHERE resolved_at IS NULL ORDER BY signature",
    "numbers": "SELECT id FROM finding WHERE resolved_at IS NULL ORDER BY id",
    "acceptances": "SELECT id FROM suppression WHERE withdrawn_at IS NULL ORDER BY id",
    "breakers": "SELECT DISTINCT rule FROM breaker WHERE state != 'closed' ORDER BY rule",
}


def known(path: Path, kinds: Sequence[str]) -> Sequence[str]:
    """Names of these kinds in the store at ``path``, without those that no shell should be given; none on any error."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_PATIENCE_S)) as store:
            rows = [row for kind in kinds for row in store.execute(f"{_OF[kind]} LIMIT {_MOST}")]
    except sqlite3.Error:
        return []
    # What an instance or a provider named may hold anything, and a shell takes it for words.
    return [
        name for row in rows if (name := str(row[0])) and name.isprintable() and not set(name) & set(" '\"\\$`;&|<>")
    ]
