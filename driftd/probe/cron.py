"""What runs by the clock, systemd's timers aside: crontab(5), cron.d, cron.daily and its like, anacrontab(5), at(1).

The name of a fact is the job: schedule, user, command, each run of blanks between the fields one. What a table sets in
the environment before a job is a field of that job, since that is what it does. Fields: docs/facts.md.
"""

import hashlib
import re
import time
from typing import Dict, Iterator, Tuple

from driftd.probe import accounts, files, inside
from driftd.probe.found import Found

CRON = b"cron"
AT = b"at"
JOB_LIMIT = 1024 * 1024  # bytes of an at job
SETTINGS_LIMIT = 100  # of these, and
ENVIRONMENT_LIMIT = 1024  # of these bytes the environment of a job is told, of a larger one the digest

_TABLES = (b"/etc/cron.d",)
_SPOOLS = (b"/var/spool/cron/crontabs", b"/var/spool/cron/tabs", b"/var/spool/cron", b"/etc/crontabs")
_SCRIPTS = (
    b"/etc/cron.hourly",
    b"/etc/cron.daily",
    b"/etc/cron.weekly",
    b"/etc/cron.monthly",
    b"/etc/cron.yearly",
    b"/etc/periodic/15min",
    b"/etc/periodic/hourly",
    b"/etc/periodic/daily",
    b"/etc/periodic/weekly",
    b"/etc/periodic/monthly",
)
_AT = (b"/var/spool/cron/atjobs", b"/var/spool/at")

_SETTING = re.compile(rb"""^("[^"]*"|'[^']*'|[^\s="']+)[ \t]*=[ \t]*(.*)$""", re.DOTALL)
_QUOTED = re.compile(rb"""^(["'])(.*)\1$""", re.DOTALL)
_TIMES = re.compile(rb"^-?((?:[0-9A-Za-z*,/~?-]+[ \t]+){5})(.*)$", re.DOTALL)
_NICKNAME = re.compile(rb"^-?(@[A-Za-z0-9_]+)[ \t]+(.*)$", re.DOTALL)
_ANACRON = re.compile(rb"^(\d+|@[A-Za-z]+)[ \t]+(\d+)[ \t]+([^\s/]+)[ \t]+(.*)$", re.DOTALL)
# Queue, number, minutes since 1970; = stands for the queue of a job that runs now.
_JOB = re.compile(rb"^[A-Za-z=]([0-9a-f]{5})([0-9a-f]{8})$")
_OWNER = re.compile(rb"^# atrun uid=(\d{1,10}) gid=\d+", re.MULTILINE)


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every job of cron, anacron and at."""
    found.looked(CRON)
    text = files.read(place, found, CRON, b"/etc/crontab")
    _table(found, b"/etc/crontab", text or b"", b"")
    seen = set()
    for directory, with_user in [(path, True) for path in _TABLES] + [(path, False) for path in _SPOOLS]:
        opened = files.directory(place, found, CRON, directory)
        if opened is None:
            continue
        with opened:
            if opened.ident in seen:  # Alpine's spool is a link to /etc/crontabs
                continue
            seen.add(opened.ident)
        for name, text in files.each(place, found, CRON, directory):
            if not name.startswith(b"."):
                _table(found, directory + b"/" + name, text, b"" if with_user else name)
    for directory in _SCRIPTS:
        for name in files.listing(place, found, CRON, directory):
            if not name.startswith(b"."):
                path = directory + b"/" + name
                found.add(CRON, path, file=path, user=b"root")
    _anacron(found, files.read(place, found, CRON, b"/etc/anacrontab") or b"")
    _at(place, found)


def _lines(text):
    # type: (bytes) -> Iterator[bytes]
    for line in text.split(b"\n"):
        said = line.lstrip(b" \t").rstrip(b"\r")
        if said and not said.startswith(b"#"):
            yield said


class _Environment(object):
    """What the settings so far make of the environment of the jobs below them."""

    def __init__(self):
        # type: () -> None
        self._values = {}  # type: Dict[bytes, bytes]
        self._all = hashlib.sha256()
        self.text = b""

    def take(self, line):
        # type: (bytes) -> bool
        """Is the line a setting?"""
        found = _SETTING.match(line)
        if found is None:
            return False
        name, value = (_QUOTED.sub(rb"\2", part.strip(b" \t")) for part in found.groups())
        self._all.update(line + b"\n")
        if len(self._values) < SETTINGS_LIMIT:
            self._values[name] = value
            self.text = b"; ".join(key + b"=" + self._values[key] for key in sorted(self._values))
        if len(self._values) == SETTINGS_LIMIT or len(self.text) > ENVIRONMENT_LIMIT:
            self.text = b"too long to tell, sha256 " + self._all.hexdigest().encode()
        return True


def _table(found, path, text, user):
    # type: (Found, bytes, bytes, bytes) -> None
    """The jobs of a crontab. Without ``user`` each line names its own."""
    environment, odd = _Environment(), 0
    for line in _lines(text):
        if environment.take(line):
            continue
        schedule, command = _schedule(line)
        who = user
        if schedule and not user:
            who, command = (command.split(None, 1) + [b"", b""])[:2]
        if not schedule or not command:
            odd += 1
            continue
        name = b" ".join([schedule, who, found.told(command)])
        found.add(CRON, name, file=path, user=who, environment=found.told(environment.text))
    if odd:
        found.not_available(CRON, "%d lines of %s are no jobs" % (odd, path.decode("utf-8", "backslashreplace")))


def _schedule(line):
    # type: (bytes) -> Tuple[bytes, bytes]
    """When, and the rest of the line; "" when it does not begin with a time. Names of days and months have no case."""
    found = _TIMES.match(line) or _NICKNAME.match(line)
    if found is None:
        return b"", b""
    return b" ".join(found.group(1).lower().split()), found.group(2)


def _anacron(found, text):
    # type: (Found, bytes) -> None
    environment, odd = _Environment(), 0
    for line in _lines(text):
        if environment.take(line):
            continue
        job = _ANACRON.match(line)
        if job is None:
            odd += 1
            continue
        name = found.told(b" ".join([b"anacron"] + list(job.groups())))
        found.add(CRON, name, file=b"/etc/anacrontab", user=b"root", environment=found.told(environment.text))
    if odd:
        found.not_available(CRON, "%d lines of /etc/anacrontab are no jobs" % odd)


def _at(place, found):
    # type: (inside.Root, Found) -> None
    """Jobs of at and batch. What they would run may hold secrets of whoever submitted them; a digest of it is said."""
    found.looked(AT)
    users = {home.uid: home.user for home in accounts.homes(place)}
    for directory in _AT:
        for name, text in files.each(place, found, AT, directory, JOB_LIMIT):
            job = _JOB.match(name)
            if job is None and name.startswith(b"."):
                continue  # at's own counter
            owner = _OWNER.search(text)
            uid = owner.group(1) if owner else b""
            when = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(int(job.group(2), 16) * 60)) if job else ""
            digest = hashlib.sha256(text).hexdigest()
            found.add(AT, name, user=users.get(uid, uid), digest=digest, when=when)
