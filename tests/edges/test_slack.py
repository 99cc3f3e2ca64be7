"""Slack's edge: the fake board keeps the contract first, then ours before the stand-in, within Slack's limits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import free_port
from slackd import BOT, CHANNEL, NAME, check_blocks, slackd, texts_of, unescaped

from driftd.core.cards import Button, Card, Press
from driftd.core.errors import BadInput, Refused, Throttled, Unavailable, Unreached
from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.notices import CROWD, Notice
from driftd.core.outbox import Delivery
from driftd.edges.http.posting import post
from driftd.edges.http.server import Server
from driftd.edges.slack import blocks
from driftd.edges.slack.board import SlackBoard
from driftd.edges.slack.calls import Api
from driftd.edges.slack.webhook import SlackWebhook
from driftd.testing import BoardContract, FakeBoard, NotifierContract
from driftd.testing.notifying import card, notice

TROUBLES = {"later": Unavailable("500"), "often": Throttled("429", retry_after_s=7), "never": Refused("400")}


class TestFakeBoard(BoardContract):
    @pytest.fixture
    def board(self):
        self.far = FakeBoard()
        return self.far

    @pytest.fixture
    def broken(self):
        return FakeBoard(down=Unreached("nobody is there"))

    def shown(self):
        return [
            "\n".join(([one.card.title, one.card.text] if one.card else []) + one.lines)
            for one in self.far.places.values()
        ]

    def forget(self):
        self.far.places.clear()

    def trouble(self, what):
        self.far.down = TROUBLES[what]


@pytest.fixture
def token(tmp_path):
    (tmp_path / "token").write_text(BOT + "\n")
    return tmp_path / "token"


class TestSlack(BoardContract):
    @pytest.fixture
    def board(self, token):
        with slackd() as self.slack:
            yield SlackBoard(Api(token, url=self.slack.url, timeout_s=5), NAME)
            for one in self.slack.messages:
                harmless(one.raw)

    @pytest.fixture
    def broken(self, token):
        return SlackBoard(Api(token, url=f"http://127.0.0.1:{free_port()}/api/", timeout_s=5), NAME)

    def shown(self):
        return ["\n".join([one.shown, *(m.shown for m in self.slack.thread(one.ts))]) for one in self.slack.parents]

    def forget(self):
        self.slack.messages.clear()

    def trouble(self, what):
        self.slack.trouble(what)

    def test_a_place_is_named_by_the_channels_id(self, board):
        assert board.post(card(), doubt=False).startswith(f"{CHANNEL}:")

    @pytest.mark.parametrize(
        "code", ["channel_not_found", "not_in_channel", "invalid_auth", "missing_scope", "<!channel> \x1b"]
    )
    def test_a_wrong_channel_or_token_makes_all_wait_and_says_what_to_do(self, board, code):
        self.slack.error = code
        with pytest.raises(Unavailable) as raised:
            board.post(card(), doubt=False)
        assert str(raised.value).isprintable()
        if code.isidentifier():
            assert isinstance(raised.value, Unreached)
            assert code in str(raised.value)
            assert raised.value.hint
        else:
            assert code not in str(raised.value)

    def test_no_answer_after_it_was_posted_leaves_it_open_and_is_not_retried_unasked(self, board):
        self.slack.deaf = True
        with pytest.raises(Unavailable) as raised:
            board.post(card(), doubt=False)
        assert not isinstance(raised.value, Unreached | Throttled)
        assert len(self.slack.messages) == 1

    def test_a_token_may_be_renewed_and_is_in_no_sentence(self, board, token):
        token.write_text("xoxb-other")
        with pytest.raises(Unreached) as raised:
            board.post(card(), doubt=False)
        assert "xoxb" not in str(raised.value) + raised.value.hint
        token.write_text(BOT)
        board.post(card(), doubt=False)


class TestIncomingWebhook(NotifierContract):
    @pytest.fixture
    def notifier(self):
        with slackd() as self.slack:
            server = Server(self.slack.hook, shown="the webhook")
            yield SlackWebhook(lambda body, headers: post(server, "", body, headers))
            for one in self.slack.hooked:
                harmless(one)

    @pytest.fixture
    def broken(self):
        server = Server(f"http://127.0.0.1:{free_port()}/services/s3cr3t", shown="the webhook")
        return SlackWebhook(lambda body, headers: post(server, "", body, headers))

    troubles = ("later", "often", "never")

    def heard(self):
        return ["\n".join(unescaped(text["text"]) for text in texts_of(one["blocks"])) for one in self.slack.hooked]

    def trouble(self, what):
        self.slack.trouble(what)
        self.slack.mode = "mute" if what == "later" else ""


def test_a_token_goes_nowhere_in_clear_and_a_bad_one_is_not_repeated(tmp_path):
    (tmp_path / "t").write_text("xoxb-1")
    with pytest.raises(BadInput, match="in clear"):
        Api(tmp_path / "t", url="http://slack.example/api/", timeout_s=1)
    for bad in (b"", b"two words s3cr3t", b"\xff", b"x" * 5000):
        (tmp_path / "t").write_bytes(bad)
        with pytest.raises(BadInput) as raised:
            Api(tmp_path / "t", url="https://slack.com/api/", timeout_s=1)
        assert "s3cr3t" not in str(raised.value)
    with pytest.raises(BadInput, match="cannot be read"):
        Api(tmp_path / "none", url="https://slack.com/api/", timeout_s=1)


def harmless(sent):
    """Nothing in it is markup to Slack: no mention, no link, no formatting, no control character."""
    check_blocks(sent["blocks"])
    assert len(sent["text"]) <= 4000
    for text in texts_of(sent["blocks"]):
        assert text["type"] == "plain_text"
        assert text["emoji"] is False
    for said in (sent["text"], *(text["text"] for text in texts_of(sent["blocks"]))):
        assert "<" not in said
        assert ">" not in said
        assert said.replace("\n", "").isprintable()
        assert all(said[at:].startswith(("&amp;", "&lt;", "&gt;")) for at, c in enumerate(said) if c == "&")
    if "mrkdwn" in sent:
        assert (sent["mrkdwn"], sent["parse"], sent["link_names"]) == (False, "none", False)


words = st.text(max_size=40) | st.sampled_from(
    ["<!here>", "&" * 4000, "<" * 200, "\udcff", "\ud800", "é" * 3000, "*a*"]
)


@given(text=words, limit=st.integers(6, 120))
def test_safe_text_is_within_its_limit_and_says_what_it_was_given(text, limit):
    said = blocks.safe(text, limit)
    assert len(said) <= limit
    assert "<" not in said
    assert json.dumps(said).isascii()
    whole = blocks.safe(text, 10**9)
    assert said == whole or (said.endswith("…") and whole.startswith(said[:-1]))


@given(
    texts=st.lists(words, min_size=4, max_size=4),
    fields=st.lists(st.tuples(words, words), max_size=14),
    changes=st.lists(words, max_size=8),
    presses=st.lists(st.sampled_from(Press), unique=True),
    doubt=st.booleans(),
    over=st.booleans(),
)
def test_any_card_is_within_the_limits_and_harmless(texts, fields, changes, presses, doubt, over):
    title, text, last, name = texts
    buttons = tuple(Button(one, name, name, text) for one in presses)
    made = Card(
        f"instance/{name}",
        title,
        text,
        Severity.HIGH,
        last=last,
        fields=tuple(fields),
        changes=tuple(changes),
        buttons=buttons,
        over=over,
    )
    harmless(blocks.of_card(made, doubt=doubt))


@given(texts=st.lists(words, min_size=1, max_size=CROWD))
def test_any_notice_is_within_the_limits_and_harmless(texts):
    made = [Delivery(Message(f"k{at}", "drift", Severity.LOW, text, id=at)) for at, text in enumerate(texts)]
    harmless(blocks.of_notice(Notice(tuple(made), "web")))


def test_what_is_in_blocks_is_readable():
    shown = blocks.of_card(card("a <b> & c", "t"))
    said = [unescaped(text["text"]) for text in texts_of(shown["blocks"])]
    assert "a <b> & c" in said
    assert notice("a").text == "a"
