"""systemd.syntax(7): sections that may repeat, values that go on over a backslash, lists that an empty value resets."""

from __future__ import annotations

import re

from driftd.edges.semantic.document import Document, UnreadableError, lines_of

# Of these the last value counts (systemd.unit, systemd.service, systemd.exec, systemd.timer and their like).
_SINGLE = (
    "type user group workingdirectory restart restartsec description timeoutstartsec timeoutstopsec "
    "timeoutsec killmode remainafterexit pidfile busname notifyaccess standardoutput standarderror standardinput "
    "umask nice privatetmp privatedevices privatenetwork privateusers protectsystem protecthome nonewprivileges "
    "dynamicuser defaultdependencies persistent randomizeddelaysec accuracysec unit wakesystem accept delegate what "
    "where options rootdirectory memorymax tasksmax limitnofile guessmainpid oomscoreadjust"
)
_LAST = frozenset(_SINGLE.split())
# Of these the words count, and their order does not.
_LISTED = (
    "after before wants requires requisite bindsto partof upholds conflicts onfailure onsuccess wantedby requiredby "
    "upheldby also alias documentation"
)
_WORDS = frozenset(_LISTED.split())
_SECTION = re.compile(r"\[([^\[\]]+)\]")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(.*)", re.DOTALL)
_VARIABLE = re.compile(r"(\"?)([A-Za-z_][A-Za-z0-9_]*)=([^\"']*?)\1(?:\s+|$)")
RESET = "(reset)"


def unit(text: str) -> Document:
    """Section → field → value, or list of values in their order."""
    value: dict[str, dict[str, object]] = {}
    section: dict[str, object] | None = None
    for line in _logical(text):
        title = _SECTION.fullmatch(line)
        if title:
            section = value.setdefault(title[1], {})
            continue
        field = _FIELD.fullmatch(line)
        if field is None or section is None:
            raise UnreadableError
        _put(section, field[1], field[2].strip())
    return Document(
        {name: {key: _plain(inner) for key, inner in one.items()} for name, one in value.items()}, sections=True
    )


def _logical(text: str) -> list[str]:
    """Lines as systemd joins them: a comment between two that belong together is left out."""
    found: list[str] = []
    begun = ""
    for line in lines_of(text):
        bare = line.strip()
        if bare.startswith(("#", ";")) or (not bare and not begun):
            continue
        if _goes_on(line):
            begun += line[:-1].strip() + " "
            continue
        found.append((begun + bare).strip())
        begun = ""
    return [line for line in [*found, begun.strip()] if line]


def _goes_on(line: str) -> bool:
    """Whether the next line belongs to this one: of two backslashes the first takes the second's meaning away."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _put(section: dict[str, object], name: str, said: str) -> None:
    kind = name.lower()
    if kind in _LAST:
        section[name] = said
    elif not said:
        section[name] = [RESET]
    elif kind == "environment" and (variables := _variables(said)) is not None:
        known = section.get(name)
        if isinstance(known, list):  # it also resets what another file of the unit has set
            section[name] = [*known, said]
        else:
            section[name] = {**(known if isinstance(known, dict) else {}), **variables}
    else:
        known = section.get(name)
        more = said.split() if kind in _WORDS else [said]
        section[name] = [*(known if isinstance(known, list) else [known] if known else []), *more]
        if kind in _WORDS:
            section[name] = sorted(set(map(str, section[name])))  # type: ignore[call-overload]  # a list, just made


def _variables(said: str) -> dict[str, str] | None:
    """The variables of an Environment=; None where quoting makes that more than splitting."""
    found = list(_VARIABLE.finditer(said))
    if sum(len(one[0]) for one in found) != len(said):
        return None
    return {one[2]: one[3] for one in found}


def _plain(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 and value != [RESET] else value
