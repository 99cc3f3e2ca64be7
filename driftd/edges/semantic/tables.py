"""Files of one record a line: passwd, group, hosts, fstab, crontab, sysctl, and plain NAME=value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from driftd.core.shown import MARK
from driftd.edges.semantic.document import Document, UnreadableError, lines_of, words

_PASSWD = ("password", "uid", "gid", "comment", "home", "shell")
_VARIABLE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_JOB = re.compile(r"(@[a-z]+|(?:\S+\s+){4}\S+)\s+(\S.*)")
_DRAWN = re.compile(r"([^\s#;=]+)\s*=\s*(.*)")


def _records(text: str, comments: str = "#") -> Iterator[str]:
    for line in lines_of(text):
        bare = line.strip()
        if bare and bare[0] not in comments:
            yield bare


def passwd(text: str) -> Document:
    """Account → field → value. Their order decides where two have one uid, so it is told."""
    value: dict[str, dict[str, str]] = {}
    for line in _records(text):
        name, *fields = line.split(":")
        if len(fields) != len(_PASSWD) or name in value:
            raise UnreadableError
        value[name] = dict(zip(_PASSWD, fields, strict=True))
    return Document(value, tuple(value), between=": ", records=True)


def group(text: str) -> Document:
    """Group → password, gid and members, whose order says nothing."""
    value: dict[str, dict[str, str | list[str]]] = {}
    for line in _records(text):
        name, *fields = line.split(":")
        if len(fields) != 3 or name in value:
            raise UnreadableError
        value[name] = {"password": fields[0], "gid": fields[1], "members": sorted(filter(None, fields[2].split(",")))}
    return Document(value, tuple(value), between=": ", records=True)


def hosts(text: str) -> Document:
    """Name → its addresses in their order. The first name beside an address is what it is called."""
    value: dict[str, list[str]] = {}
    called: dict[str, str] = {}
    for line in _records(text):
        address, *names = line.partition("#")[0].split()
        if not names:
            raise UnreadableError
        for name in names:
            value.setdefault(name, []).append(address)
        called.setdefault(f"{address} is called", names[0])
    return Document({**{name: ", ".join(found) for name, found in value.items()}, **called})


def fstab(text: str) -> Document:
    """Mount point → device, type, options, dump, pass. Mounts are made in the order of the lines."""
    value: dict[str, dict[str, str]] = {}
    for line in _records(text):
        fields = line.split()
        if not 3 <= len(fields) <= 6:
            raise UnreadableError
        device, point, kind, options, dump, check = (*fields, *("defaults", "0", "0")[len(fields) - 3 :])
        name = point if point not in ("none", "swap") else f"{kind} {device}"
        if name in value:
            raise UnreadableError
        value[name] = {"device": device, "type": kind, "options": options, "dump": dump, "pass": check}
    return Document(value, tuple(value), between=": ", records=True)


def crontab(text: str) -> Document:
    """Job (what is run, by whom) → when; variables by name. One that is set after the first job holds from there on.

    A line without its end makes cron leave the whole table aside.
    """
    if text and not text.endswith("\n"):
        raise UnreadableError
    variables: dict[str, str] = {}
    jobs: dict[str, list[str]] = {}
    order: list[str] = []
    for line in _records(text):
        variable, job = _VARIABLE.fullmatch(line), _JOB.fullmatch(line)
        if variable and not line[0].isdigit():
            name = variable[1] if not jobs else f"{variable[1]} (after {len(jobs)} jobs)"
            variables[name] = _unquoted(variable[2])
            order += [name] if jobs else []
        elif job:
            order.append(name := f"job {words(job[2])}")
            jobs.setdefault(name, []).append(" ".join(job[1].split()))
        else:
            raise UnreadableError
    value = {**variables, **{name: "; ".join(sorted(when)) for name, when in jobs.items()}}
    between = any(not name.startswith("job ") for name in order)
    return Document(value, tuple(order) if between else (), between=" ")


def _unquoted(said: str) -> str:
    quoted = len(said) > 1 and said[0] == said[-1] and said[0] in "\"'"
    return said[1:-1] if quoted else said


def sysctl(text: str) -> Document:
    """sysctl.d(5): the last value of a name counts; a slash in a name is a dot. With wildcards the order decides."""
    value: dict[str, str] = {}
    order: list[str] = []
    for line in _records(text, "#;"):
        if line.startswith("-") and "=" not in line:
            value[line] = ""
            continue
        found = _DRAWN.fullmatch(line)
        if found is None:
            raise UnreadableError
        name = found[1].removeprefix("-").replace("/", ".")
        value[name] = " ".join(found[2].split())
        order.append(name)
    return Document(value, tuple(order) if any("*" in name for name in order) else (), between=" ")


def keyvalue(text: str) -> Document:
    """NAME=value, as in /etc/default and os-release; anything that a shell would run is not read.

    Of a name that stands there twice every line counts: one may include a file (postgresql.conf), or start a program.
    """
    value: dict[str, list[str]] = {}
    for line in _records(text):
        found = _VARIABLE.fullmatch(line)
        if found is None:
            raise UnreadableError
        said = found[2]
        quoted = len(said) > 1 and said[0] == said[-1] and said[0] in "\"'"
        if not quoted and MARK not in said and re.search(r"[\"'`$;&|<>(){}\\]", said):
            raise UnreadableError
        if quoted and re.search(r"[`$\\]" + "|" + re.escape(said[0]), said[1:-1]):
            raise UnreadableError
        value.setdefault(found[1], []).append(said[1:-1] if quoted else said)
    return Document({name: said[0] if len(said) == 1 else said for name, said in value.items()})
