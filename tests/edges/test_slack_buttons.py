"""Buttons over Socket Mode before the stand-in: acknowledged first, answered to one person, and never lost for long."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import free_port, wait_until
from slackd import APP, BOT, NAME, slackd, unescaped

from driftd.core.cards import Press
from driftd.core.errors import DriftdError, Throttled, Unavailable, Unreached
from driftd.edges.slack.board import SlackBoard
from driftd.edges.slack.buttons import Buttons, read_click
from driftd.edges.slack.calls import Api
from driftd.testing.notifying import card


class Desk:
    """The stand-in, a card on its board, and what was clicked."""

    def __init__(self, slack, home) -> None:
        (home / "bot").write_text(BOT)
        (home / "app").write_text(APP)
        self.slack, self.clicks, self.says = slack, [], "done"
        api = Api(home / "bot", url=slack.url, timeout_s=5)
        self.buttons = Buttons(api, home / "app", self.press)
        SlackBoard(api, NAME).post(card(), doubt=False)
        [self.message] = slack.parents

    def press(self, click):
        self.clicks.append(click)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says() if callable(self.says) else self.says

    def told(self):
        return [(one.user, unescaped(one.text)) for one in self.slack.told]


@pytest.fixture
def desk(tmp_path):
    with slackd() as slack:
        made = Desk(slack, tmp_path)
        made.buttons.tick()
        wait_until(lambda: slack.connections, "the connection")
        yield made
        made.buttons.close()


def test_a_click_reaches_who_decides_and_the_answer_who_clicked(desk):
    desk.says = "i-1 is held <by> you & yours"
    desk.slack.click(desk.message, "driftd.hold")
    wait_until(desk.told, "the answer")
    [click] = desk.clicks
    assert (click.press, click.of, click.group, click.by) == (Press.HOLD, "i-1", "web", "slack:U1")
    assert click.ref.endswith(desk.message.ts)
    assert desk.told() == [("U1", "i-1 is held <by> you & yours")]


def test_it_is_acknowledged_before_anything_is_decided(desk):
    slow = threading.Event()
    desk.says = lambda: "late" if slow.wait(20) else "never"
    desk.slack.click(desk.message, "driftd.hold")  # fails without an ack within 3 s
    assert desk.told() == []
    slow.set()
    wait_until(desk.told, "the answer")


def test_a_store_that_cannot_be_written_is_said_to_who_clicked(desk):
    desk.says = DriftdError("the disk is full")
    desk.slack.click(desk.message, "driftd.hold")
    wait_until(desk.told, "the answer")
    assert desk.told() == [("U1", "the disk is full; nothing is done")]


def test_a_refreshed_connection_takes_clicks_again(desk):
    desk.slack.refresh()
    wait_until(lambda: len(desk.slack.connections) == 2, "a new connection")
    desk.slack.click(desk.message, "driftd.hold")
    wait_until(desk.told, "the answer")


def failing(buttons):
    """Why no click can come; None while one can."""
    try:
        assert buttons.tick() == []
    except DriftdError as error:
        return error
    return None


def test_a_connection_that_breaks_fails_every_tick_with_the_reason_and_comes_back(desk, tmp_path):
    (tmp_path / "app").write_text("xapp-revoked")
    desk.slack.connections[-1].close()
    wait_until(lambda: "invalid_auth" in str(failing(desk.buttons)), "the reason", 40)
    for _ in range(2):
        assert "xapp" not in str(failing(desk.buttons))
    (tmp_path / "app").write_text(APP)
    wait_until(lambda: failing(desk.buttons) is None, "a new connection", 40)
    desk.slack.click(desk.message, "driftd.hold")
    wait_until(desk.told, "the answer")


def test_a_network_that_lets_no_websocket_through_is_no_connection(tmp_path):
    with slackd() as slack:
        made, link = Desk(slack, tmp_path), slack._ws_port
        for elsewhere in (free_port(), int(slack.url.rpartition(":")[2].partition("/")[0])):  # nobody, and no WebSocket
            slack._ws_port = elsewhere
            error = failing(made.buttons)
            assert isinstance(error, Unavailable)
            assert "wss" in error.hint
            assert "ticket" not in str(error)
            made.buttons.close()
        slack._ws_port = link
        assert failing(made.buttons) is None
        made.buttons.close()


def test_when_slack_says_how_long_to_wait_it_is_not_asked_before(tmp_path):
    with slackd() as slack:
        made = Desk(slack, tmp_path)
        slack.throttled = 1
        slack.calls.clear()
        for _ in range(3):
            error = failing(made.buttons)
            assert isinstance(error, Throttled)
            assert error.retry_after_s == 7
        assert slack.calls == []  # the first was counted as throttled, and there was no other


def test_an_envelope_that_is_sent_again_is_the_same_click(desk):
    payload = desk.slack.payload(desk.message, "driftd.hold")
    name = desk.slack.envelope(payload)
    desk.slack.envelope(payload, name=name, attempt=1)
    wait_until(lambda: len(desk.clicks) == 2, "both")
    assert desk.clicks[0] == desk.clicks[1]


def test_what_is_no_click_of_ours_is_acknowledged_and_left_alone(desk):
    payload = desk.slack.payload(desk.message, "driftd.hold")
    odd = [
        {},
        {"type": "view_submission"},
        payload | {"actions": []},
        payload | {"actions": [payload["actions"][0] | {"action_id": "somebody.elses"}]},
        payload | {"actions": [payload["actions"][0] | {"action_id": "driftd.nothing"}]},
        payload | {"actions": [payload["actions"][0] | {"value": "no json"}]},
        payload | {"actions": [payload["actions"][0] | {"value": "{}"}]},
        payload | {"actions": [payload["actions"][0] | {"action_ts": "nan"}]},
    ]
    for one in odd:
        desk.slack.envelope(one)
    desk.slack.click(desk.message, "driftd.hold")
    wait_until(lambda: desk.clicks, "the good one")
    assert len(desk.clicks) == 1


def test_without_slack_it_says_so_and_goes_on_trying(tmp_path):
    with slackd() as slack:
        made = Desk(slack, tmp_path)
        (tmp_path / "app").write_text("xapp-wrong")
        with pytest.raises(Unreached, match="invalid_auth") as raised:
            made.buttons.tick()
        assert "xapp" not in str(raised.value)
        (tmp_path / "app").write_text(APP)
        made.buttons.tick()
        began = time.monotonic()
        wait_until(lambda: slack.connections, "the connection")
        made.buttons.close()
        assert time.monotonic() - began < 20


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = ("type", "actions", "user", "container", "action_id", "value", "action_ts", "id", "channel_id", "message_ts")


@given(payload=st.dictionaries(st.sampled_from(NAMES), json_like, max_size=6))
def test_no_payload_breaks_the_reader(payload):
    read_click({"type": "block_actions"} | payload)
