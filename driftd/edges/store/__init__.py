"""The store: what driftd remembers, in one SQLite file. ``open_store(url)`` gives a ``SqlStore``; docs/store.md."""

from driftd.edges.store.care import Checked, Restored, Stops, backup, check, restore, upgrade
from driftd.edges.store.holder import here
from driftd.edges.store.opening import open_store, path_of, schema_of
from driftd.edges.store.queue import SqlQueue
from driftd.edges.store.sql import SqlStore
from driftd.edges.store.tx import SqlTx

__all__ = [
    "Checked",
    "Restored",
    "SqlQueue",
    "SqlStore",
    "SqlTx",
    "Stops",
    "backup",
    "check",
    "here",
    "open_store",
    "path_of",
    "restore",
    "schema_of",
    "upgrade",
]
