"""From a change on a real server to Slack and back: the whole daemon, and the stand-in of Slack."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleets import QUICK, Fleet
from servers import pid_of
from slackd import APP, BOT, slackd

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

NOTIFY = """\
notify:
  slack:
    channel: "#fleet"
    token_file: {bot}
    app_token_file: {app}
    url: {url}
    may:
      approve: [U1]
      hold: [U1]
"""
HOSTILE = "<!channel> *now* <https:evil.example|click> & \x1b[31m"


@pytest.fixture
def slack():
    with slackd() as made:
        yield made


def template(slack, home: Path, enforce: str = "approve") -> str:
    """The fleet's configuration with Slack in it."""
    (home / "bot").write_text(BOT)
    (home / "app").write_text(APP)
    notify = NOTIFY.format(bot=home / "bot", app=home / "app", url=slack.url)
    return QUICK.replace("enforce: replace ", f"enforce: {enforce} ") + notify


def change(fleet: Fleet, slot: str, name: str) -> str:
    """Write a file that no image has; the instance's id."""
    instance = fleet.instances()[slot]
    (Path(f"/proc/{pid_of(instance)}/root/opt/web") / name).write_text("x")
    return instance.id


def people(fleet: Fleet) -> list[tuple[str, str]]:
    with fleet.house.store() as store, store.read() as tx:
        return [(line.body["did"], line.body["by"]) for line in tx.journal_lines() if line.kind == "human"]


def test_a_change_is_one_message_whose_button_replaces_the_server(slack, fleet_of, tmp_path):
    fleet = fleet_of(template(slack, tmp_path))
    fleet.stage.start_daemon()
    fleet.wait(fleet.known)
    fleet.wait(lambda: slack.connections)
    old = change(fleet, "web/2", HOSTILE)
    fleet.wait(lambda: slack.parents and "driftd.approve" in slack.parents[0].buttons)
    [message] = slack.parents
    assert "web/2 in web" in message.shown
    assert "<!channel> *now*" in message.shown  # as text, and escaped on the wire:
    assert "<!channel>" not in str(message.raw)
    slack.click(message, "driftd.approve", "U9")
    fleet.wait(lambda: slack.told)
    assert "You may not approve here" in slack.told[0].shown
    assert people(fleet) == []
    slack.click(message, "driftd.approve", "U1")
    slack.click(message, "driftd.approve", "U1")
    fleet.wait(lambda: old not in {one.id for one in fleet.instances().values()} and not message.buttons)
    fleet.wait(lambda: any("succeeded" in one.shown for one in slack.thread(message.ts)))
    fleet.wait(lambda: "\N{WHITE HEAVY CHECK MARK}" in message.shown)
    assert "web/2 in web: replaced by" in message.shown
    assert people(fleet) == [("approve", "slack:U1")]
    assert any("was approved already, by slack:U1" in one.shown for one in slack.told)
    assert slack.parents == [message]
    fleet.stage.stop_daemon()
    log = (fleet.stage.config.parent / "driftd.log").read_text()
    assert BOT not in log
    assert APP not in log
    fleet.whole()
