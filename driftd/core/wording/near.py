"""What somebody may have meant who wrote a name that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from driftd.core.wording import listed, printable

_LIKE = 0.6
_MOST = 8


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that is most like ``name``; "" where none is."""
    names = {one.casefold(): one for one in known if one}
    found = get_close_matches(name.casefold(), list(names), n=1, cutoff=_LIKE)
    return names[found[0]] if found else ""


def hint(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """``did you mean web/1?``, else ``otherwise``, or what there is where nothing else is to be said."""
    names = [one for one in dict.fromkeys(known) if one]
    if meant := nearest(name, names):
        return f"did you mean {printable(meant)}?" + (f" Else {otherwise}" if otherwise else "")
    return otherwise or (f"there are: {printable(listed(names, most=_MOST))}" if names else "there are none")
