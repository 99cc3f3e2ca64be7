"""Some weeks of one instance: driftd's visits and persons' sessions, as an sshd logs them, and as looks then see them.

The lines are those that OpenSSH 9.2 wrote for real sessions on loopback, with other addresses, ports, keys and times.
They are read by the probe's own reader. Everything is drawn from one seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from driftd.core.facts import Session
from driftd.core.visits import Parted, Trace, Way
from driftd.core.whose import Split, Visit, split
from driftd.probe import sessions, sshlog, wtmp

BEGAN = 1_790_000_000.0  # true time; driftd's clock shows it
KEY = "SHA256:" + "d" * 43
CA = "SHA256:" + "c" * 43
HERE, NAT, ELSEWHERE = "10.0.0.1", "192.0.2.7", "198.51.100.9"


@dataclass
class Login:
    """One session as it really was. ``began`` and ``ended`` are true times; ``ended`` 0: it lasts to the end."""

    number: int
    user: str
    source: str
    port: int
    began: float
    ended: float
    key: str
    key_id: str = ""
    what: str = "command"
    mine: bool = False
    logged: bool = True
    reset: bool = False


@dataclass
class World:
    """One instance with its own ways: its clock, its log's form and level, how driftd comes there."""

    seed: int
    certified: bool = False
    translated: bool = False
    logins: list[Login] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    looks: list[tuple[float, Visit, Login]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.precise = self.draw.random() < 0.6
        self.verbose = self.draw.random() < 0.4
        # An sshd that logs nothing, where no port tells: nothing could (docs/ssh.md).
        self.quiet = self.draw.random() < 0.05 and not self.translated
        ahead = self.draw.choice([0.0, 0.0, 1.7, -1.9, 3600.0, -260.0, 3 * 86400.0])
        self.steps = [(0.0, ahead)]
        if self.draw.random() < 0.3:
            self.steps.append((BEGAN + self.draw.uniform(1e3, 2e4), ahead + self.draw.choice([-40.0, 60.0, 7200.0])))
        self.user = self.draw.choice(["root", "driftd"])
        self.seen_as = NAT if self.translated else HERE

    def clock(self, at: float) -> float:
        """What the instance's clock shows."""
        return at + [ahead for since, ahead in self.steps if since <= at][-1]

    # --- what happens ------------------------------------------------------------------------------------------------

    def happen(self, visits: int, persons: int) -> None:
        """So many visits, one after the other or two at once, and so many persons in between."""
        at = BEGAN + 60
        for _ in range(visits):
            self._visit(at)
            at += self.draw.choice([0.2, 2.0, 30.0, 300.0]) * self.draw.uniform(0.5, 1.5)
            at += 0 if self.draw.random() < 0.1 else 20
        for _ in range(persons):
            self._person(at)

    def _login(self, **said: object) -> Login:
        made = Login(len(self.logins) + 1, **said)
        self.logins.append(made)
        return made

    def _port(self) -> int:
        return self.draw.randrange(32768, 61000)

    def _visit(self, at: float) -> None:
        how = self.draw.choices(["orderly", "broke", "crashed", "refused", "never"], [82, 8, 3, 4, 3])[0]
        scan = f"{self.draw.getrandbits(128):032x}"
        began, lasted = at + self.draw.uniform(0.0, 0.3), self.draw.uniform(0.3, 14)
        key = f"SHA256:{scan}{'k' * 11}" if self.certified else KEY
        way = Way(HERE, self._port(), self.user, key, certified=self.certified)
        moment = [_time(one) for one in (at, began, began + 0.1, began + lasted, began + lasted + 0.1)]
        trace = Trace(scan, way, moment[1], moment[2], moment[3], Parted.ORDERLY)
        if how == "broke":
            trace = replace(trace, parted_at=None, parted=Parted.OPEN)
        elif how == "crashed":
            trace = replace(trace, entered_at=None, parted_at=None, parted=Parted.OPEN)
            moment[4] = _time(at + 600)
        elif how == "refused":
            trace = replace(trace, entered_at=None, parted_at=moment[2], parted=Parted.REFUSED)
        elif how == "never":
            trace = Trace(scan)
        visit = Visit(key, moment[0], moment[4], trace=trace)
        self.visits.append(visit)
        if how in {"refused", "never"}:
            return
        ended = began + lasted
        if how != "orderly":  # nobody told sshd: it finds out by itself
            ended += self.draw.choice([0.0, 1.0, 900.0, 7200.0])
        login = self._login(
            user=self.user,
            source=self.seen_as,
            port=self._port() if self.translated else way.port,
            began=began + self.draw.uniform(0.0, 0.1),
            ended=ended,
            key=key,
            key_id=f"driftd:{scan}" if self.certified else "",
            mine=True,
            what="idle" if how != "orderly" and self.draw.random() < 0.3 else "command",
            reset=how != "orderly",
        )
        if how == "orderly":
            self.looks.append((began + lasted * 0.9, visit, login))

    def _person(self, until: float) -> None:
        """Somebody who is like driftd in all but something."""
        near = self.draw.choice(self.visits)
        way = near.trace.way
        broken = near.trace.parted is not Parted.ORDERLY
        began = near.opened.timestamp() + self.draw.choice([0.1, 1.0, 4.0, 30.0, 3600.0])
        like = {
            "user": self.user,
            "source": self.seen_as,
            "port": self._port(),
            "began": self.draw.choice([began, self.draw.uniform(BEGAN, until)]),
            "key": KEY,
            "what": self.draw.choice(["command", "command", "shell", "transfer", "idle"]),
        }
        like["ended"] = like["began"] + self.draw.choice([0.5, 5.0, 600.0, 1e9])
        lie = self.draw.choice(["key", "password", "stolen", "elsewhere", "port", "id", "old-id", "no-line"])
        if lie == "key":
            like["key"] = "SHA256:" + "p" * 43
        elif lie == "password" or (lie == "stolen" and self.translated and not self.certified and broken):
            like["key"] = ""
        elif lie == "elsewhere":
            like["source"] = ELSEWHERE
        elif lie == "port" and way is not None:  # the very port: from elsewhere, or when it is long free again
            like["port"] = way.port
            if self.draw.random() < 0.5:
                like["source"] = ELSEWHERE
            else:
                like["began"] = near.closed.timestamp() + 3600
                like["ended"] = like["began"] + 3
        elif lie == "id":
            like |= {"key": "SHA256:" + "e" * 43, "key_id": f"driftd:{self.draw.getrandbits(128):032x}"}
        elif lie == "old-id":
            like |= {"key": "SHA256:" + "e" * 43, "key_id": near.trace.key_id}
        elif lie == "no-line":
            like |= {"what": "shell", "logged": False}
        if not self.certified and self.translated and like["key"] == KEY:
            like["what"] = "shell"  # what cannot be told from a visit there is counted apart
        self._login(**like)

    # --- what a look sees --------------------------------------------------------------------------------------------

    def look(self, at: float, here: Login) -> list[Session]:
        """The sessions, as the probe's readers make them of what is there at ``at``."""
        zone = self.precise
        lines = sorted(line for login in self.logins for line in self._lines(login) if line[0] <= at)
        text = "".join(self._stamp(when, zone) + said + "\n" for when, said in lines).encode()
        latest = self.clock(at)
        found = sshlog.logins(sshlog.syslog_lines(text, latest), BEGAN - 9e5, b"log")
        live = {one.number: one for one in self.logins if one.began <= at and not 0 < one.ended <= at}
        for login in found:
            if login.pid in live:
                login.live, login.ended = True, 0
                login.evidence.add(b"process")
        logged = {login.pid for login in found}
        for one in live.values():
            if one.number not in logged:
                bare = sshlog.Login(
                    one.user.encode(), one.source.encode(), one.port, int(self.clock(one.began)), one.number
                )
                bare.live, bare.evidence = True, {b"process"}
                found.append(bare)
        sessions.add_terminals(found, self._terminals(at))
        for login in found:
            login.ancestor = login.pid == here.number
        return [_session(sessions.row(login)) for login in found]

    def _stamp(self, at: float, precise: bool) -> str:
        moment = datetime.fromtimestamp(self.clock(at), UTC)
        if precise:
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00 web-1 ")
        local = datetime.fromtimestamp(self.clock(at))  # noqa: DTZ006  # as syslog writes it
        return local.strftime("%b ") + f"{local.day:2}" + local.strftime(" %H:%M:%S web-1 ")

    def _lines(self, login: Login) -> list[tuple[float, str]]:
        if self.quiet or not login.logged:
            return []
        name, peer = f"sshd[{login.number}]: ", f"{login.source} port {login.port}"
        how = "publickey" if login.key else "password"
        key = f": ED25519 {login.key}" if login.key else ""
        if login.key_id:
            key = f": ED25519-CERT {login.key} ID {login.key_id} (serial {login.number}) CA ED25519 {CA}"
        said = [(login.began, f"{name}Accepted {how} for {login.user} from {peer} ssh2{key}")]
        said.append((login.began + 0.01, f"{name}pam_unix(sshd:session): session opened for user {login.user}(uid=0)"))
        asked = {"command": "command", "shell": "shell on pts/1", "transfer": "subsystem 'sftp'"}.get(login.what)
        if self.verbose and asked:
            said.append((login.began + 0.02, f"{name}Starting session: {asked} for {login.user} from {peer} id 0"))
        if login.ended:
            over = [
                f"Received disconnect from {peer}:11: disconnected by user",
                f"Disconnected from user {login.user} {peer}",
            ]
            if login.reset:
                over = [f"Connection reset by {peer}"]
            said += [(login.ended, name + one) for one in over]
            said.append((login.ended, f"{name}pam_unix(sshd:session): session closed for user {login.user}"))
        return said

    def _terminals(self, at: float) -> list[wtmp.Terminal]:
        made = []
        for one in self.logins:
            if one.what == "shell" and one.began + 0.1 <= at:
                ended = int(self.clock(one.ended)) if 0 < one.ended <= at else 0
                began = int(self.clock(one.began + 0.1))
                # The process that opens the terminal is a child of the one that logs.
                made.append(
                    wtmp.Terminal(one.user.encode(), b"pts/1", one.source.encode(), 50000 + one.number, began, ended)
                )
        return made

    # --- what driftd makes of it -------------------------------------------------------------------------------------

    def judge(self) -> Counted:
        """Every look in turn, each with what the store had by then."""
        counted = Counted()
        whose = {one.number: one for one in self.logins}
        made: dict[object, Session] = {}
        for at, this, here in sorted(self.looks, key=lambda one: one[0]):
            now = _time(at)
            open_then = replace(this, closed=None, trace=replace(this.trace, parted_at=None, parted=Parted.OPEN))
            stored = [_then(one, at) for one in self.visits if one is not this and one.opened <= now]
            recorded = [Visit(one.key, one.started_at, one.started_at, one) for one in made.values()]
            found = split(self.look(at, here), [*stored, *recorded, open_then], now, this=open_then)
            made |= {
                (one.user, one.source, one.port, one.pid, one.started_at): one
                for one in found.own
                if (one.user, one.source, one.port, one.pid, one.started_at) not in made
            }
            counted.add(found, whose)
        return counted


@dataclass
class Counted:
    """How many sessions were seen, of whom, and those that were taken for another's (by the login's number)."""

    own: set[int] = field(default_factory=set)
    persons: set[int] = field(default_factory=set)
    own_taken: dict[int, Session] = field(default_factory=dict)
    persons_taken: dict[int, Session] = field(default_factory=dict)

    def add(self, found: Split, whose: dict[int, Login]) -> None:
        """One look."""
        for session in (*found.own, *found.others):
            login = whose.get(session.pid)
            if login is None:
                continue
            mine = session in found.own
            (self.own if login.mine else self.persons).add(login.number)
            if login.mine and not mine:
                self.own_taken[login.number] = session
            if not login.mine and mine:
                self.persons_taken[login.number] = session


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _then(visit: Visit, at: float) -> Visit:
    """What the store had of a visit at ``at``."""
    trace, now = visit.trace, _time(at)
    if visit.closed and visit.closed <= now:
        return visit
    if trace.came_at is not None and trace.came_at > now:
        trace = Trace(trace.scan)
    return replace(visit, closed=None, trace=replace(trace, entered_at=None, parted_at=None, parted=Parted.OPEN))


def _session(row: dict[bytes, object]) -> Session:
    text = {name: row[name.encode()].decode() for name in ("door", "user", "source", "key", "key_id", "tty", "kind")}
    return Session(
        **text,
        started_at=_time(row[b"started"]),
        ended_at=_time(row[b"ended"]) if row[b"ended"] else None,
        port=row[b"port"],
        pid=row[b"pid"],
        live=bool(row[b"live"]),
        ancestor=bool(row[b"ancestor"]),
        evidence=row[b"evidence"].decode(),
    )
