"""Label matchers, as Alertmanager and PromQL write them: ``severity="critical", team!~"dev|test"``.

All of a list must hold. A matcher is kept apart from its text so that names put into it can never become syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from driftd.core.errors import BadInput

OPERATORS = ("=~", "!~", "!=", "=")
LONGEST = 4096

_NAME = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\[\\"n])*)"')
_BARE = re.compile(r'[^\s,{}"\'`\\]+')
_UNESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label and what its value must be: ``op`` is one of ``OPERATORS``; regular expressions match all of a value.

    ``str()`` is its one spelling, quoted and escaped.
    """

    name: str
    op: str
    value: str

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{escaped(self.value)}"'

    def denies(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` certainly does not match. A regular expression is left to whoever speaks its dialect."""
        present = labels.get(self.name, "")
        return (self.op == "=" and present != self.value) or (self.op == "!=" and present == self.value)


def escaped(value: str) -> str:
    """``value`` for between double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def literally(value: str) -> str:
    """A regular expression (RE2's dialect) that matches ``value`` and nothing else."""
    return _SPECIAL.sub(lambda match: "\\" + match.group(), value)


def parse(text: str) -> tuple[Matcher, ...]:
    """The matchers that ``text`` lists. Raises BadInput; an empty list is one, since it would match everything."""
    said = text.strip()
    if said.startswith("{") and said.endswith("}"):
        said = said[1:-1].strip()
    wrong = BadInput(
        f"{text[:200]!r} is no list of label matchers", 'write it like severity="critical", service=~"web|db"'
    )
    if not said or len(said) > LONGEST:
        raise wrong
    found, at = [], 0
    while at < len(said):
        head = _NAME.match(said, at)
        if head is None:
            raise wrong
        quoted, bare = _QUOTED.match(said, head.end()), _BARE.match(said, head.end())
        value = quoted or bare
        if value is None:
            raise wrong
        plain = re.sub(r"\\.", lambda match: _UNESCAPED[match.group()], quoted.group(1)) if quoted else value.group()
        found.append(Matcher(head.group(1), head.group(2), plain))
        rest = said[value.end() :].lstrip()
        if rest and not rest.startswith(","):
            raise wrong
        at = len(said) - len(rest[1:].lstrip()) if rest else len(said)
    return tuple(found)


def for_group(matchers: Sequence[Matcher], group: str) -> tuple[Matcher, ...]:
    """``{group}`` in their values stands for the group's name, escaped where the value is a regular expression."""
    return tuple(
        replace(one, value=one.value.replace("{group}", literally(group) if "~" in one.op else group))
        for one in matchers
    )
