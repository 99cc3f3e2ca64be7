"""PromQL with places for names: ``rate(errors{instance="{instance}"}[5m])``, filled so that no name becomes syntax.

A place stands in the quoted value of a label matcher and nowhere else. After ``=~`` or ``!~`` a name is escaped for
the regular expression, too, so several names can stand there: ``instance=~"{peers}"``. Strings, escapes and comments
are those of the language's documentation (prometheus.io, "Querying basics").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.matchers import escaped, literally

# {peers} and {peer_addresses} are those of the group's other instances that are in service.
PLACES = ("instance", "address", "group", "peers", "peer_addresses")
MANY = frozenset({"peers", "peer_addresses"})
LONGEST = 64 * 1024

_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")
_OPERATOR = re.compile(r"(=~|!~|!=|=)\s*\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name goes. ``pattern``: it becomes part of a regular expression. ``quote`` is what ends the string."""

    name: str
    pattern: bool
    quote: str

    def filled(self, names: Sequence[str]) -> str:
        """The text for ``names``: one, or any of several."""
        value = "|".join(map(literally, names)) if self.pattern else names[0]
        if len(names) > 1:
            value = f"(?:{value})"
        return (
            escaped(value)
            if self.quote == '"'
            else value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A query as its author wrote it, ``text``, and the same in parts."""

    text: str
    parts: tuple[str | Place, ...]

    @property
    def places(self) -> frozenset[str]:
        """The names of its places."""
        return frozenset(part.name for part in self.parts if isinstance(part, Place))

    def fill(self, names: Mapping[str, Sequence[str]]) -> str | Unseen:
        """The query with every place filled; ``Unseen`` where there is no name for one."""
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            given = [name for name in names.get(part.name, ()) if name]
            if not given:
                return Unseen(f"there is nobody to stand for {{{part.name}}} in the query")
            out.append(part.filled(given))
        said = "".join(out)
        return said if len(said) <= LONGEST else Unseen(f"the query grows longer than {LONGEST} characters")

    def of_peers(self) -> Query:
        """The same question about the peers. Raises BadInput where it asks for one instance and no pattern."""
        if not self.places & {"instance", "address"}:
            raise BadInput(
                f"the query {self.text[:200]!r} does not name the instance, so its peers cannot be asked the same",
                "put {instance} or {address} in it, or give the baseline a query of its own",
            )
        return Query(self.text, tuple(self._of_peers(part) for part in self.parts))

    def _of_peers(self, part: str | Place) -> str | Place:
        if isinstance(part, str) or part.name not in {"instance", "address"}:
            return part
        if not part.pattern:
            raise BadInput(
                f"the query {self.text[:200]!r} cannot be asked of several peers: {{{part.name}}} stands after = or !=",
                f'write ...=~"{{{part.name}}}", or give the baseline a query of its own',
            )
        return replace(part, name="peers" if part.name == "instance" else "peer_addresses")


def parse(text: str) -> Query:
    """The query that ``text`` is. Raises BadInput where a place stands where a name could become syntax."""
    if not text.strip() or len(text) > LONGEST:
        raise BadInput("a query is PromQL, and not empty" if not text.strip() else "the query is too long")
    parts: list[str | Place] = []
    before = ""
    for piece, quote in _pieces(text):
        operator = _OPERATOR.search(before)
        at = 0
        for found in _PLACE.finditer(piece):
            name = found.group(1)
            if quote not in {'"', "'"} or operator is None:
                raise BadInput(
                    f"{{{name}}} stands in the query {text[:200]!r} where it is no value of a label",
                    f'a place stands in a label matcher, between double quotes, as in instance="{{{name}}}"',
                )
            pattern = "~" in operator.group(1)
            _check_before(piece[: found.start()], name, text, pattern=pattern)
            if name in MANY and not pattern:
                raise BadInput(f"{{{name}}} of the query {text[:200]!r} stands for several", f'write ...=~"{{{name}}}"')
            parts += [piece[at : found.start()], Place(name, pattern, quote)]
            at = found.end()
        parts.append(piece[at:])
        before = piece if not quote else ""
    return Query(text, tuple(part for part in parts if part != ""))


def _check_before(before: str, name: str, text: str, *, pattern: bool) -> None:
    """A backslash that is left over would escape what a name begins with: in the string, or in the pattern it says."""
    run = len(before) - len(before.rstrip("\\"))
    if run % 2 or (pattern and run // 2 % 2):
        raise BadInput(
            f"{{{name}}} stands in the query {text[:200]!r} right after a backslash, which would escape the name",
            "take the backslash away",
        )


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """(piece, the quote that it stands between or ""); comments have "#" for one. Raises BadInput."""
    start = at = 0
    while at < len(text):
        one = text[at]
        if one not in "\"'`#":
            at += 1
            continue
        if at > start:
            yield text[start:at], ""
        end = _end_of_comment(text, at) if one == "#" else _end_of_string(text, at)
        yield text[at:end], one
        start = at = end
    if at > start:
        yield text[start:at], ""


def _end_of_comment(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _end_of_string(text: str, at: int) -> int:
    quote, here = text[at], at + 1
    while here < len(text) and text[here] != quote:
        if text[here] == "\n" and quote != "`":
            break
        here += 2 if text[here] == "\\" and quote != "`" else 1
    if here >= len(text) or text[here] != quote:
        raise BadInput(f"a string in the query {text[:200]!r} has no end", f"close it with {quote}")
    return here + 1
