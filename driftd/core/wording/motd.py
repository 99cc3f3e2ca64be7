"""What a person reads at login: what will happen to this server because of it, when, and how to delay that.

Plain lines of ASCII but for what people wrote themselves, at most ``WIDTH`` wide where they allow it: for a banner of
sshd's, a file in /etc/motd.d, or a terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

from driftd.core.aftermath import Aftermath
from driftd.core.answers import KINDS, Answers
from driftd.core.findings import Action
from driftd.core.guards.case import GroupRules
from driftd.core.memory import InstanceRow
from driftd.core.wording import lasting, printable

WIDTH = 76
_KIND = {
    "interactive": "a shell",
    "command": "a command (ssh HOST COMMAND)",
    "transfer": "a copy (scp, sftp)",
    "forward": "a forwarded port",
}
_ANSWER = {
    Action.IGNORE: "it is expected",
    Action.EXPLAIN: "it is expected",
    Action.OBSERVE: "it is noted",
    Action.ALERT: "it is noted, and people are told",
    Action.REPLACE: "the server will be replaced",
    Action.QUARANTINE: "the server will be replaced, and kept to be examined",
}


def of_group(group: str, answers: Answers, rules: GroupRules) -> str:
    """The text for every server of a group: true whenever it is read, so that an image may hold it."""
    lines = [
        f"This server ({group}) is never changed: what is changed on it is lost, and it is replaced.",
        "driftd notes every login.",
        *_by_kind(answers, rules),
    ]
    if rules.replaces and answers.strictest.replaces:
        hours = ", ".join(str(one) for one in rules.calendar.windows)
        window = f", in {hours} ({rules.calendar.zone})" if hours else ""
        after, most = lasting(rules.grace.after), lasting(rules.grace.cap)
        asked = ", once a person approves" if rules.approve else ""
        lines += [
            f"When: {after} after the last session ends, {most} after the first at most{window}{asked}.",
            "Nobody is cut off.",
            "To keep it longer, where driftd runs (72 h at most):",
            '    driftd hold THIS-SERVERS-ADDRESS --for 2h --reason "..."',
        ]
    return _page(lines)


def of_instance(row: InstanceRow, follows: Aftermath | None, answers: Answers, rules: GroupRules, now: datetime) -> str:
    """The text for one server as it stands now, to be read now."""
    lines = [f"{row.id}{f' ({row.slot})' if row.slot else ''} in {row.group}, {now:%Y-%m-%d %H:%M:%S} UTC:"]
    if follows is None:
        lines += ["It is not tainted. driftd notes every login.", *_by_kind(answers, rules)]
    else:
        lines += [f"It is tainted: {row.taint}.", f"What follows: {follows.says}."]
    if follows is not None and follows.hold:
        lines += ["To keep it longer, where driftd runs (72 h at most):", f"    {follows.hold}"]
    return _page(lines)


def _by_kind(answers: Answers, rules: GroupRules) -> Sequence[str]:
    if not rules.replaces:
        told = answers.strictest.rank >= Action.ALERT.rank
        return [f"{'People are told, and nothing' if told else 'Nothing'} is done about it."]
    said = {kind: _ANSWER[answers.of(kind)] for kind in KINDS}
    if len(set(said.values())) == 1:
        return [f"Whatever you log in for: {said[KINDS[0]]}."]
    return [f"For {_KIND[kind]}: {what}." for kind, what in said.items()]


def _page(lines: Sequence[str]) -> str:
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(
            printable(line), WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
    ]
    return "\n".join(wrapped) + "\n"
