"""The time line of one seed as SVG: a lane for each instance, mishaps across them, and below how many were in service.

Times are not to scale where nothing happened: such a stretch is short, marked, and says how long it was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, pairwise
from statistics import median

from driftd.core.rehearsal import Lane, Played, Score
from driftd.core.wording import printable
from driftd.core.wording import rehearsing as said

WIDTH, LEFT, RIGHT, TOP = 1180, 150, 24, 92
LANE, GAP, BETWEEN = 18, 4, 10
CHART, STEP = 46, 12
LEGEND = 18
INK, SOFT, PAPER, RULE = "#1b1f24", "#57606a", "#ffffff", "#d9dde3"
# What an instance is: its colour, and what the legend says. None stands for "not there".
COLOURS = {
    "serving": ("#4c9f70", "in service"),
    "drifted": ("#d1495b", "in service, drifted"),
    "starting": ("#a9d6e5", "starting"),
    "ready": ("#61a5c2", "up, not in service"),
    "draining": ("#edae49", "drained"),
    "ill": ("#7a4f9a", "ill"),
    "stopped": ("#9aa5b1", "stopped, kept"),
    "ending": ("#4a5560", "ending"),
}
STRETCH = 4.0  # so many usual steps is the longest that a stretch is drawn
MOST_LANES = 60
WORDS = 118


class Scale:
    """From seconds to pixels: steps that are much longer than most are drawn shorter."""

    def __init__(self, ticks: Sequence[float]) -> None:
        """``ticks`` in order."""
        self._ticks = ticks if len(ticks) > 1 else (0.0, 1.0)
        steps = [b - a for a, b in pairwise(self._ticks)]
        longest = STRETCH * max(median(steps), 0.001)
        self._at = [0.0]
        for step in steps:
            self._at.append(self._at[-1] + min(step, longest))
        self._wide = (WIDTH - LEFT - RIGHT) / (self._at[-1] or 1.0)
        self.left_out = [(a, b) for a, b in pairwise(self._ticks) if b - a > 3 * longest]

    def __call__(self, second: float) -> float:
        """Where it is."""
        i = max(0, min(bisect_right(self._ticks, second) - 1, len(self._ticks) - 2))
        a, b = self._ticks[i], self._ticks[i + 1]
        part = min(1.0, max(0.0, (second - a) / (b - a))) if b > a else 0.0
        return LEFT + (self._at[i] + part * (self._at[i + 1] - self._at[i])) * self._wide

    def marks(self) -> Iterator[float]:
        """Seconds worth a label: about ten, evenly in the picture."""
        for part in range(11):
            wanted = self._at[-1] * part / 10
            yield self._ticks[min(range(len(self._at)), key=lambda i: abs(self._at[i] - wanted))]


def picture(one: Played, *, alone: bool = True) -> str:
    """The whole picture. ``alone``: as a file of its own."""
    score = one.score
    x = Scale(score.ticks)
    lanes = sorted(score.lanes, key=lambda lane: (lane.slot, lane.spans[0][0] if lane.spans else 0.0))[:MOST_LANES]
    rows = list(_placed(lanes))
    bottom = (rows[-1][0] + LANE if rows else TOP) + 8
    charts = bottom + len(score.serving) * (CHART + 22) + 16
    tall = charts + 26 + LEGEND * len(score.mishaps) + 12
    body = [
        *_head(one, x, bottom, charts),
        *(line for y, lane in rows for line in _lane(lane, y, x, score.ticks[-1])),
        *_left_out(x, bottom),
        *_charts(score, x, bottom),
        *_mishaps(score, x, charts),
    ]
    name = f"Time line of seed {one.seed}: {len(lanes)} instances, {len(score.mishaps)} events"
    xml = '<?xml version="1.0" encoding="UTF-8"?>\n' if alone else ""
    return (
        f'{xml}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" role="img" '
        f'aria-label="{_safe(name)}" font-family="DejaVu Sans, Segoe UI, Helvetica, Arial, sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{tall}" fill="{PAPER}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _safe(text: str) -> str:
    return escape(printable(text), quote=True)


def _text(x: float, y: float, text: str, *, fill: str = INK, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{" " + more if more else ""}>{_safe(text)}</text>'


def _rect(x: float, y: float, wide: float, tall: float, fill: str, more: str = "") -> str:
    extra = f" {more}" if more else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0.6):.1f}" height="{tall}" fill="{fill}"{extra}/>'


def _placed(lanes: Sequence[Lane]) -> Iterator[tuple[float, Lane]]:
    y = float(TOP)
    for _, of_slot in groupby(lanes, key=lambda lane: lane.slot):
        for lane in of_slot:
            yield y, lane
            y += LANE + GAP
        y += BETWEEN


def _head(one: Played, x: Scale, bottom: float, charts: float) -> Iterator[str]:
    score = one.score
    yield _text(12, 24, f"Seed {one.seed}", more='font-size="16" font-weight="bold"')
    ends = "violated" if one.broken else "all held"
    yield _text(12, 42, f"{ends}; it begins on {score.begins} and lasts {said.span(one.lasted)}", fill=SOFT)
    at = 420.0
    for colour, words in COLOURS.values():
        yield _rect(at, 14, 12, 12, colour, 'rx="2"')
        yield _text(at + 16, 24, words, fill=SOFT, more='font-size="10"')
        at += 30 + 5.6 * len(words)
    if score.calm_at:
        calm = x(score.calm_at)
        yield _rect(calm, TOP - 14, WIDTH - RIGHT - calm, charts - TOP, "#f3f7f4")
        if calm < WIDTH - 200:
            yield _text(calm + 4, TOP - 32, "from here on all is kind", fill=SOFT, more='font-size="10"')
    last = -100.0
    for second in x.marks():
        if x(second) - last < 70:
            continue
        last = x(second)
        yield f'<line x1="{last:.1f}" y1="{TOP - 16}" x2="{last:.1f}" y2="{charts - 20:.1f}" stroke="{RULE}"/>'
        words = "0" if not second else f"+{said.span(second)}"
        yield _text(last, charts - 8, words, fill=SOFT, more='text-anchor="middle" font-size="10"')
    del bottom


def _lane(lane: Lane, y: float, x: Scale, end: float) -> Iterator[str]:
    yield _text(12, y + 13, lane.slot[:14], more='font-weight="bold"')
    yield _text(LEFT - 8, y + 13, lane.instance[:16], fill=SOFT, more='text-anchor="end" font-size="10"')
    for (since, state), (until, _) in pairwise([*lane.spans, (end, "")]):
        if state not in COLOURS:
            continue
        colour, words = COLOURS[state]
        title = _safe(f"{lane.instance}: {words}, {said.span(until - since)}")
        bar = _rect(x(since), y, x(until) - x(since), LANE, colour, 'rx="2"')
        yield bar.replace("/>", f"><title>{title}</title></rect>")


def _left_out(x: Scale, bottom: float) -> Iterator[str]:
    for a, b in x.left_out:
        middle = (x(a) + x(b)) / 2
        yield _rect(x(a), TOP - 14, x(b) - x(a), bottom - TOP + 14, PAPER, 'fill-opacity="0.6"')
        words = f"{said.span(b - a)} of waiting"
        yield _text(middle, bottom + 2, words, fill=SOFT, more='text-anchor="middle" font-size="9"')


def _charts(score: Score, x: Scale, bottom: float) -> Iterator[str]:
    y = bottom + 22
    for group, told in score.serving.items():
        most = max((count for _, count in told), default=1) or 1
        base = y + CHART
        yield _text(12, y + 14, f"{group[:12]}", more='font-weight="bold"')
        yield _text(12, y + 28, "in service", fill=SOFT, more='font-size="10"')
        points = []
        for (since, count), (until, _) in pairwise([*told, (score.ticks[-1], 0)]):
            high = base - (CHART - 6) * count / most
            points += [f"{x(since):.1f},{high:.1f}", f"{x(until):.1f},{high:.1f}"]
        area = f"{LEFT},{base} {' '.join(points)} {x(score.ticks[-1]):.1f},{base}"
        yield f'<polygon points="{area}" fill="#cfe5d8" stroke="#4c9f70" stroke-width="1"/>'
        for count in {0, most}:
            high = base - (CHART - 6) * count / most
            yield _text(LEFT - 8, high + 4, str(count), fill=SOFT, more='text-anchor="end" font-size="10"')
        if least := score.needed.get(group, 0):
            high = base - (CHART - 6) * least / most
            yield (
                f'<line x1="{LEFT}" y1="{high:.1f}" x2="{WIDTH - RIGHT}" y2="{high:.1f}" stroke="#b3261e" '
                f'stroke-dasharray="5 3"><title>its minimum: {least}</title></line>'
            )
            yield _text(
                WIDTH - RIGHT, high - 3, f"minimum {least}", fill="#b3261e", more='text-anchor="end" font-size="9"'
            )
        y += CHART + 22


def _mishaps(score: Score, x: Scale, charts: float) -> Iterator[str]:
    taken: list[float] = []
    for number, (second, sentence) in enumerate(score.mishaps, 1):
        at = x(second)
        high = TOP - 24
        while any(abs(at - other) < 15 and high == row for other, row in zip(taken[::2], taken[1::2], strict=True)):
            high -= 14
        taken += [at, high]
        ends = f'x1="{at:.1f}" y1="{high}" x2="{at:.1f}" y2="{charts - 20:.1f}"'
        yield f'<line {ends} stroke="#b3261e" stroke-opacity="0.45"/>'
        yield f'<circle cx="{at:.1f}" cy="{high}" r="7" fill="#b3261e"/>'
        yield _text(at, high + 3.5, str(number), fill=PAPER, more='text-anchor="middle" font-size="9"')
        y = charts + 18 + LEGEND * (number - 1)
        yield f'<circle cx="22" cy="{y - 4:.1f}" r="7" fill="#b3261e"/>'
        yield _text(22, y - 0.5, str(number), fill=PAPER, more='text-anchor="middle" font-size="9"')
        yield _text(38, y, f"+{said.span(second)}", fill=SOFT)
        yield _text(104, y, sentence if len(sentence) <= WORDS else f"{sentence[:WORDS]}…")
