"""Notifiers: the fake keeps the contract first, then the log and a webhook."""

import base64
import hashlib
import hmac
import io
import json
from datetime import UTC, datetime

import pytest
from receiving import receiver
from servers import free_port

from driftd.core.errors import BadInput, Refused, Throttled, Unavailable, Unreached
from driftd.edges import logs
from driftd.edges.http.cloudevents import Webhook
from driftd.edges.http.server import Server
from driftd.testing import FakeNotifier, NotifierContract
from driftd.testing.notifying import notice

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
TROUBLES = {"later": Unavailable("500"), "often": Throttled("429", retry_after_s=7), "never": Refused("400")}


class TestFake(NotifierContract):
    @pytest.fixture
    def notifier(self):
        self.far = FakeNotifier()
        return self.far

    @pytest.fixture
    def broken(self):
        return FakeNotifier(down=Unreached("nobody is there"))

    def heard(self):
        return [one.text for one in self.far.notices]

    def trouble(self, what):
        self.far.down = TROUBLES[what]


class TestWebhook(NotifierContract):
    @pytest.fixture
    def notifier(self):
        with receiver() as self.far:
            yield Webhook(Server(self.far.url), source="urn:driftd:1", clock=lambda: NOW)

    @pytest.fixture
    def broken(self):
        return Webhook(Server(f"http://127.0.0.1:{free_port()}"), source="urn:driftd:1", clock=lambda: NOW)

    def events(self):
        return [json.loads(one.body) for one in self.far.posts]

    def heard(self):
        return [one["data"]["text"] for one in self.events()]

    def says_twice(self, said):
        return any(one.get("driftdagain") for one in self.events())

    def trouble(self, what):
        self.far.trouble(what)

    def test_it_is_a_cloud_event(self, notifier):
        notifier.send(notice("i-1 in web drifted"))
        [posted], [event] = self.far.posts, self.events()
        assert posted.path == "/hook"
        assert posted.headers["content-type"].startswith("application/cloudevents+json")
        assert event.keys() >= {"specversion", "id", "source", "type"}
        assert (event["specversion"], event["source"], event["type"]) == ("1.0", "urn:driftd:1", "io.driftd.drift")
        assert event["data"]["severity"] == "high"
        assert event["subject"] == "i-1"

    def test_its_id_is_the_same_whenever_it_is_sent(self, notifier):
        notifier.send(notice("a"))
        notifier.send(notice("a", doubt=True))
        notifier.send(notice("b"))
        first, again, other = (one["id"] for one in self.events())
        assert first == again != other

    def test_where_the_whole_address_is_wrong_all_messages_wait(self, notifier):
        self.far.status = 404
        with pytest.raises(Unreached, match="404"):
            notifier.send(notice("a"))

    def test_a_signature_is_what_standard_webhooks_say(self, notifier, tmp_path):
        key = bytes(range(32))
        (tmp_path / "secret").write_text("whsec_" + base64.b64encode(key).decode() + "\n")
        hook = Webhook(Server(self.far.url), source="u", clock=lambda: NOW, secret_file=tmp_path / "secret")
        hook.send(notice("a"))
        [posted] = self.far.posts
        name, at = posted.headers["webhook-id"], posted.headers["webhook-timestamp"]
        assert at == str(int(NOW.timestamp()))
        wanted = hmac.new(key, f"{name}.{at}.".encode() + posted.body, hashlib.sha256).digest()
        assert posted.headers["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()

    @pytest.mark.parametrize("text", ["", "short", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"x").decode()])
    def test_a_bad_secret_is_found_at_once_and_not_repeated(self, tmp_path, text):
        (tmp_path / "secret").write_text(text)
        with pytest.raises(BadInput) as raised:
            Webhook(Server("http://127.0.0.1:1"), source="u", clock=lambda: NOW, secret_file=tmp_path / "secret")
        assert not text or text not in str(raised.value).replace("secret", "")

    def test_what_the_far_end_says_is_made_harmless(self, notifier):
        self.far.status, self.far.says = 400, b"\x1b[31mno\xff\n" * 100
        with pytest.raises(Refused) as raised:
            notifier.send(notice("a"))
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 400


def test_a_bearer_token_goes_along_and_into_no_sentence(tmp_path):
    (tmp_path / "token").write_text("s3cr3t\n")
    with receiver() as far:
        hook = Webhook(Server(far.url, token_file=tmp_path / "token"), source="u", clock=lambda: NOW)
        hook.send(notice("a"))
        assert far.posts[0].headers["authorization"] == "Bearer s3cr3t"
        far.status = 401
        with pytest.raises(Unreached) as raised:
            hook.send(notice("b"))
        assert "s3cr3t" not in str(raised.value)


def test_an_address_that_is_a_secret_is_in_no_sentence():
    url = "http://127.0.0.1:1/services/T0/B0/s3cr3t"
    with pytest.raises(Unreached, match="the webhook in FILE refuses") as raised:
        Server(url, shown="the webhook in FILE").send("", b"{}", {}, 10)
    assert "s3cr3t" not in str(raised.value)
    for bad in ("http://example.org/s3cr3t", "ftp://x/s3cr3t", "https://user:s3cr3t@x/", "s3cr3t", "https://x/?s3cr3t"):
        with pytest.raises(BadInput) as refused:
            Server(bad, shown="the webhook in FILE")
        assert "s3cr3t" not in str(refused.value)


def test_the_log_says_what_may_be_said_twice():
    said = io.StringIO()
    logs.configure(said, as_json=True)
    logs.LogNotifier().send(notice("one", "two", doubt=True))
    assert [json.loads(line)["again"] for line in said.getvalue().splitlines()] == ["may be said twice"] * 2
    logs.configure()
