"""Block Kit: cards and notices as Slack's blocks, within its documented limits.

Every text is a ``plain_text`` object or a fallback with markup turned off, its control characters shown and ``&<>``
escaped: what an instance says is no mention, no link and no formatting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from driftd.core.cards import Button, Card, Press
from driftd.core.findings import Severity
from driftd.core.notices import Notice
from driftd.core.wording import cards as wording
from driftd.core.wording import notices, printable

# https://docs.slack.dev/reference/block-kit: what a message, and each part of it, may hold.
BLOCKS = 50
SECTION = 3000
HEADER = 150
FIELDS = 10
FIELD = 2000
BUTTON = 75
VALUE = 2000
CONFIRM_TITLE = 100
CONFIRM_TEXT = 300
FALLBACK = 4000
# Of one line among many: so that a hundred of them stay within the blocks.
LINE = 1200

ACTION = "driftd."
_MARK = {
    Severity.CRITICAL: "\N{LARGE RED CIRCLE}",
    Severity.HIGH: "\N{LARGE ORANGE CIRCLE}",
    Severity.MEDIUM: "\N{LARGE YELLOW CIRCLE}",
    Severity.LOW: "\N{LARGE BLUE CIRCLE}",
    Severity.INFO: "\N{MEDIUM WHITE CIRCLE}",
}
_OVER = "\N{WHITE HEAVY CHECK MARK}"
_ENTITY = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Block = dict[str, Any]


def safe(text: str, limit: int) -> str:
    """``text`` for Slack, at most ``limit`` characters once it is escaped; what is cut ends with ``…``."""
    shown = printable(text)
    whole = "".join(_ENTITY.get(c, c) for c in shown)
    if len(whole) <= limit:
        return whole
    kept, room = [], limit - 1
    for character in shown:
        piece = _ENTITY.get(character, character)
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "\N{HORIZONTAL ELLIPSIS}"


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": safe(text, limit) or "-", "emoji": False}


def _section(text: str) -> Block:
    return {"type": "section", "text": _plain(text, SECTION)}


def fallback(title: str, text: str) -> str:
    """What stands in a notification, and where blocks cannot be shown."""
    return safe(f"{title}: {text}" if text else title, FALLBACK)


def message(text: str, blocks: Sequence[Block]) -> Mapping[str, Any]:
    """The arguments of a message that nothing is read into."""
    return {
        "text": text,
        "blocks": list(blocks[:BLOCKS]),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def of_card(card: Card, *, doubt: bool = False) -> Mapping[str, Any]:
    """An incident as it is now."""
    title = f"{_OVER if card.over else _MARK[card.severity]} {card.title}"
    text = notices.once_more(card.text) if doubt else card.text
    blocks: list[Block] = [{"type": "header", "text": _plain(title, HEADER)}, _section(text)]
    if card.fields:
        shown = [_plain_field(name, value) for name, value in card.fields[:FIELDS]]
        blocks.append({"type": "section", "fields": shown})
    if card.changes:
        blocks.append({"type": "section", "text": _lines(card.changes)})
    if card.last and card.last != card.text:
        blocks.append(_section(card.last))
    since = f"{card.severity.value}" + (f", since {wording.at(card.opened_at)}" if card.opened_at else "")
    blocks.append({"type": "context", "elements": [_plain(since, FIELD)]})
    buttons = [made for one in card.buttons if (made := _button(one, card.key)) is not None]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return message(fallback(card.title, text), blocks)


def _plain_field(name: str, value: str) -> Block:
    return {"type": "plain_text", "text": f"{safe(name, 100)}\n{safe(value, FIELD - 101)}", "emoji": False}


def _lines(lines: Iterable[str]) -> Block:
    """Several lines in one text, each cut rather than the last ones lost."""
    shown = list(lines)
    each = SECTION // max(len(shown), 1) - 1
    return {"type": "plain_text", "text": "\n".join(safe(line, each) or "-" for line in shown), "emoji": False}


_LOOKS = {
    Press.APPROVE: ("Approve", "Approve this replacement?", "primary"),
    Press.DENY: ("Deny", "Deny this replacement?", "danger"),
    Press.HOLD: (f"Hold {wording.HOLD_FOR}", "Hold this server?", ""),
    Press.ACCEPT: (f"Accept {wording.ACCEPT_FOR}", "Accept this change?", ""),
}


def _button(button: Button, key: str) -> Block | None:
    label, question, style = _LOOKS[button.press]
    value = json.dumps({"v": 1, "of": button.of, "group": button.group, "key": key})
    if len(value) > VALUE:
        return None
    return {
        "type": "button",
        "action_id": ACTION + button.press.value,
        "text": _plain(label, BUTTON),
        "value": value,
        **({"style": style} if style else {}),
        "confirm": {
            "title": _plain(question, CONFIRM_TITLE),
            "text": _plain(button.confirm, CONFIRM_TEXT),
            "confirm": _plain(label, 30),
            "deny": _plain("Not now", 30),
        },
    }


def of_notice(notice: Notice) -> Mapping[str, Any]:
    """Messages as they are: one, or many at once."""
    if len(notice.deliveries) == 1:
        text = notice.lines[0]
        return message(fallback("", "") if not text else safe(text, FALLBACK), [_section(f"{_mark(notice)} {text}")])
    title = f"{_mark(notice)} {notice.title}"
    header: Block = {"type": "header", "text": _plain(title, HEADER)}
    return message(safe(notice.title, FALLBACK), [header, *_packed(notice.lines)])


def _mark(notice: Notice) -> str:
    return _MARK[notice.severity]


def _packed(lines: Iterable[str]) -> list[Block]:
    """As few sections as hold all lines."""
    texts = [""]
    for line in (safe(one, LINE) or "-" for one in lines):
        if texts[-1] and len(texts[-1]) + 1 + len(line) > SECTION:
            texts.append("")
        texts[-1] += f"\n{line}" if texts[-1] else line
    return [{"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}} for text in texts]
