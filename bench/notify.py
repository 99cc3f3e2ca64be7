"""How long it takes from a finding to Slack, and from a click in Slack to what it does.

    python bench/notify.py [--changes 20] [--clicks 20] [--images DIR]

The demo's servers, the shipped daemon in a process of its own, and the stand-in of Slack (tests/slackd.py) in this
one. A change is a file written by the host into an instance; it is timed from the store's ``first_seen`` of its finding
until a message shows it. A click is one on Hold, timed from when Slack sends it until its acknowledgement, until the
store has the hold, and until the message shows it. Needs what ``driftd demo`` needs, and what the tests install.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import pid_of
from slackd import APP, BOT, Slackd, slackd

from driftd.edges.providers.local import image
from driftd.wiring.stage import CONFIG, DemoStage

LONG = timedelta(days=3)
NOTIFY = """\
notify:
  slack: {{channel: "#fleet", token_file: {home}/bot, app_token_file: {home}/app, url: "{url}", may: {{hold: [U1]}}}}
"""


def until(true: Callable[[], object], what: str, limit_s: float = 60) -> float:
    """When it became true, in seconds since the epoch."""
    ends = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > ends:
            raise SystemExit(f"not within {limit_s} s: {what}")
        time.sleep(0.01)
    return time.time()


def said(what: str, times: Sequence[float]) -> None:
    """One line of results."""
    print(f"{what:<52} n={len(times)} median {statistics.median(times):.2f} s, worst {max(times):.2f} s")


class Bench:
    """One stage with its daemon."""

    def __init__(self, slack: Slackd, images: Path) -> None:
        self.slack = slack
        self.home = Path(tempfile.mkdtemp(prefix="dd-"))
        (self.home / "bot").write_text(BOT)
        (self.home / "app").write_text(APP)
        text = CONFIG.replace("enforce: replace ", "enforce: observe ")
        notify = NOTIFY.format(home=self.home, url=slack.url).replace("{", "{{").replace("}", "}}")
        self.stage = DemoStage(self.home, images, text + notify, ports=(0, 0))
        self.stage.image(lambda _: None)
        self.stage.launch()
        self.stage.start_daemon()
        self.slots = {one.slot: one for one in self.stage.house.provider("web").inventory.find("web")}
        until(lambda: len(self.stage.scene().servers) == len(self.slots) and slack.connections, "the first looks", 120)

    def close(self) -> None:
        self.stage.stop_daemon()
        self.stage.clean()
        shutil.rmtree(self.home, ignore_errors=True)

    def found(self, name: str) -> float | None:
        """When the finding of a file was first seen."""
        with self.stage.house.store(read_only=True) as store, store.read() as tx:
            seen = [r.first_seen for r in tx.open_findings() if r.finding.subject.endswith(name.encode())]
        return seen[0].timestamp() if seen else None

    def change(self, number: int) -> float:
        """From the finding to the message that shows it."""
        slot = sorted(self.slots)[number % len(self.slots)]
        name = f"change-{number}"
        (Path(f"/proc/{pid_of(self.slots[slot])}/root/opt/web") / name).write_text("x")
        shown = until(lambda: any(name in one.shown for one in self.slack.messages), f"{name} in Slack")
        began = self.found(name)
        return shown - (began or 0.0)

    def click(self) -> tuple[float, float, float]:
        """From a click on Hold to its acknowledgement, to the store, and to the message."""
        message = next(one for one in self.slack.parents if "driftd.hold" in one.buttons)
        began = time.time()
        self.slack.click(message, "driftd.hold")
        acknowledged = time.time()
        with self.stage.house.store() as store:

            def held() -> list[str]:
                with store.read() as tx:
                    return [one.instance_id for one in tx.holds(self.stage.house.now())]

            kept = until(held, "the hold")
            shown = until(lambda: "held" in message.shown.splitlines()[0], "the hold in Slack")
            with store.write() as tx:  # long ago, since nobody may hold the same server again within a day
                for one in tx.every_hold():
                    tx.put_hold(replace(one, created_at=one.created_at - LONG, until=one.until - LONG))
                tx.journal("human", "bench", {"did": "release", "by": "bench"}, self.stage.house.now())
        until(lambda: "driftd.hold" in message.buttons, "the button")
        return acknowledged - began, kept - began, shown - began


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--changes", type=int, default=20)
    options.add_argument("--clicks", type=int, default=20)
    options.add_argument("--images", type=Path, default=image.default_cache())
    chosen = options.parse_args()
    with slackd() as slack:
        bench = Bench(slack, chosen.images)
        try:
            said("finding to Slack", [bench.change(number) for number in range(chosen.changes)])
            clicks = [bench.click() for _ in range(chosen.clicks)]
        finally:
            bench.close()
    for what, times in zip(("acknowledged", "in the store", "in the message"), zip(*clicks, strict=True), strict=True):
        said(f"click to {what}", times)


if __name__ == "__main__":
    main()
