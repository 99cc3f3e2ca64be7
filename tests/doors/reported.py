"""Looks for the tests of reports: an ordinary fleet, and one in which everything that an instance says is hostile."""

from __future__ import annotations

from dataclasses import replace

from trees import NOW

from driftd.core.attributed import Attribution, Level
from driftd.core.causes import assign
from driftd.core.difference import Change
from driftd.core.facts import Coverage, Instance, Kept, Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.shown import Comparison, Exhibit, Setting

SIDE = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "9", "sha256": "ab" * 32}
EVE = Session("ssh", "eve", "10.0.0.9", NOW, 4022, key="SHA256:eve", live=True, evidence="log", confidence="supported")


def finding(at: int, subject: bytes, kind: str = "file", **fields) -> Finding:
    values = {
        "change": Change.ADDED,
        "severity": Severity.HIGH,
        "action": Action.REPLACE,
        "signature": f"{at:016x}",
        "rule": "driftd:default",
        "because": "programs run",
        "actual": SIDE,
        **fields,
    }
    return Finding(kind, subject, **values)


def instance(at: int, **fields) -> Instance:
    return replace(Instance(f"i-{at:04x}", "web", "golden-1", slot=f"web/{at}", address=f"10.77.0.{at}"), **fields)


CHANGED = finding(
    1,
    b"/etc/ssh/sshd_config",
    change=Change.MODIFIED,
    severity=Severity.CRITICAL,
    expected={"mode": "0600", "sha256": "ab" * 32},
    actual={"mode": "0644", "sha256": "cd" * 32},
)
LISTENER = finding(2, b"tcp 0.0.0.0:9999", "listener", severity=Severity.LOW, actual={"user": "root"})
ACCEPTED = finding(3, b"/etc/motd", severity=Severity.MEDIUM, suppressed_by="accepted by ann until 2026-02-01: mine")
GONE = [finding(4, b"/opt/app", "directory"), *(finding(5 + at, b"/opt/app/%d" % at) for at in range(12))]
GONE = [replace(one, change=Change.REMOVED, expected=one.actual, actual={}) for one in GONE]
CAME = {"user": "eve", "source": "10.0.0.9", "started_at": "2026-01-02T03:00:00Z", "times": "1", "evidence": "log"}
VISIT = finding(30, b"ssh:eve@10.0.0.9", "session", severity=Severity.INFO, actual={**CAME, "live": "yes"})
SHOWN = Exhibit(
    None, None, Comparison((Setting("PermitRootLogin", "no", "yes"),), ("@@ -1 +1 @@", "-no", "+yes"), note="x")
)


def fleet() -> list[Look]:
    """One that drifted, one that could not be looked at, one clean and one where all was accepted."""
    found = assign([CHANGED, LISTENER, ACCEPTED, *GONE, VISIT])
    drifted = Look(
        instance(1),
        NOW,
        0.5,
        Judgement(Verdict.DRIFTED, "critical: /etc/ssh/sshd_config modified; and 4 more causes", found, ignored=2),
        root=b"\xab" * 32,
        coverage=Coverage(9, 9, facts={"package": 2}, kept=(Kept("firewall", "not available", "there is no nft"),)),
        others=(EVE,),
        shown={CHANGED.subject: SHOWN},
        attributions={CHANGED.signature: Attribution(Level.PROBABLE, "nobody else was there", EVE)},
    )
    unknown = Look(instance(2), NOW, 10.0, Judgement(Verdict.UNKNOWN, "no answer in 10 s"), hint="try: ssh 10.77.0.2")
    clean = Look(instance(3), NOW, 0.5, Judgement(Verdict.CLEAN, "nothing differs from golden-1"), root=b"\xcd" * 32)
    accepted = Look(instance(4), NOW, 0.5, Judgement(Verdict.EXPLAINED, "1 finding, accepted by ann", (ACCEPTED,)))
    return [drifted, unknown, clean, accepted]


PLANTED = (
    "\x1b[2J\x1b]0;owned\x07 \x00\r\n\x9b31m \u202egnp.exe \u2066x\u2069 </title></style><script>planted()</script>"
    "<img src=x onerror=planted()>\"'><b>&lt;&amp; ]]> --> =cmd()|'/C calc'!A0 +1 @here @channel <!channel> <@U1> "
    "[click](http://planted.example/) ![i](http://planted.example/i) http://planted.example/ www.planted.example "
    "eve@planted.example #1 GH-1 `code` ``` ~~~ **bold** *it* _it_ ~~s~~ $x$ :smile: {0} %s {{ 7*7 }} {% raw %} | \\ "
)


def hostile() -> list[Look]:
    """Every text that an instance, its provider or a person may choose is ``PLANTED``."""
    text, raw = PLANTED, PLANTED.encode() + b"\xff"
    eve = replace(EVE, door=text, user=text, source=text, key=text, key_id=text, confidence=text, kind=text)
    said = {text: text, "mode": text, "sha256": text, "size": text, "key": text, "user": text}
    words = {"rule": text, "because": text}
    found = [
        finding(
            1, b"/etc/" + raw, expected=said, change=Change.MODIFIED, actual={**said, text: "", "uid": text}, **words
        ),
        finding(2, b"/opt/" + raw, suppressed_by=text, actual=said, **words),
        finding(3, raw, "listener", actual=said, **words),
        finding(4, raw, text, actual=said, **words),
        finding(5, b"/srv/../" + raw, "link", change=Change.REMOVED, expected=said, actual={}, **words),
        finding(6, raw, "session", actual=said, **words),
        finding(7, b"/var/" + raw, "directory", change=Change.REMOVED),
        finding(8, b"/var/" + raw + b"/x", change=Change.REMOVED),
    ]
    made = Comparison((Setting(text, text, text),), (f"+{text}", f"-{text}", "```"), note=text)
    look = Look(
        Instance(text, text, text, slot=text, address=text, zone=text),
        NOW,
        0.5,
        Judgement(Verdict.TAMPERED, text, assign(found), (found[0],)),
        coverage=Coverage(1, 1, facts={text: 1}, kept=(Kept(text, text, text),), unbaked=(text,)),
        others=(eve,),
        own=(eve,),
        boot_id=text,
        hint=text,
        shown={
            found[0].subject: Exhibit(None, None, made),
            found[1].subject: Exhibit(None, None, replace(made, settings=())),
        },
        attributions={one.signature: Attribution(Level.PROVED, text, eve) for one in found},
    )
    blind = replace(look, judgement=Judgement(Verdict.UNKNOWN, text))
    clean = replace(look, judgement=Judgement(Verdict.CLEAN, text))
    return [look, replace(look), blind, clean]
