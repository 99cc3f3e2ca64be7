"""Clues: what one source says of one login, as it stands on the wire; core/reconcile.py makes sessions of them."""

from typing import Any, Dict, NamedTuple

LIMIT = 5000
TEXT_LIMIT = 256

Clue = NamedTuple(
    "Clue",
    [
        ("source", bytes),  # which source tells of it: "logind", "utmp", "sweep" …
        ("door", bytes),
        ("user", bytes),
        ("peer", bytes),
        ("port", int),
        ("tty", bytes),
        ("pid", int),
        ("number", int),  # the kernel's own of the login, 0 where the source has none
        ("started", int),
        ("ended", int),  # 0 while nothing says that it is over
        ("live", int),
        ("note", bytes),  # a program, a file, a service: whatever the source has to say beside
    ],
)


def clue(source, **more):
    # type: (bytes, Any) -> Clue
    """A clue with nothing in the fields that are not told."""
    fields = dict.fromkeys(Clue._fields, b"")  # type: Dict[str, Any]
    fields.update(door=b"ssh", port=0, pid=0, number=0, started=0, ended=0, live=0)
    fields.update(more, source=source)
    return Clue(**fields)


def row(told):
    # type: (Clue) -> Dict[bytes, Any]
    """On the wire."""
    values = told._asdict().items()
    return {key.encode(): max(value, 0) if isinstance(value, int) else value[:TEXT_LIMIT] for key, value in values}
