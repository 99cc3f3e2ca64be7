"""Apprise, before a mail server of the tests' own."""

import email
import email.policy

import pytest
from aiosmtpd.controller import Controller
from servers import free_port

from driftd.core.errors import BadInput, Throttled, Unavailable, Unreached
from driftd.core.findings import Severity
from driftd.edges.longtail import AppriseNotifier, addresses
from driftd.testing import NotifierContract
from driftd.testing.notifying import notice

# Apprise tries a module that newer Pythons lack, and has its own in place of it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Postbox:
    """Keeps what it is sent, or says "later"."""

    def __init__(self) -> None:
        self.mails, self.busy = [], False

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  # aiosmtpd's name
        if self.busy:
            return "451 try again later"
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def postbox():
    box = Postbox()
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    box.url = f"mailto://127.0.0.1:{port}?from=driftd@example.org&to=people@example.org"
    yield box
    server.stop()


class TestMail(NotifierContract):
    troubles = ("later",)

    @pytest.fixture
    def notifier(self, postbox):
        self.box = postbox
        return AppriseNotifier(postbox.url, "line 1 of FILE")

    @pytest.fixture
    def broken(self):
        return AppriseNotifier(f"mailto://127.0.0.1:{free_port()}?from=a@b.org&to=c@d.org", "line 1 of FILE")

    def heard(self):
        return [one.get_body(("plain", "html")).get_content() for one in self.box.mails]

    def trouble(self, what):
        self.box.busy = True

    def test_one_that_is_not_there_was_surely_not_told(self, broken):
        """Apprise does not say why, so that nobody knows."""
        with pytest.raises(Unavailable) as raised:
            broken.send(notice("a"))
        assert not isinstance(raised.value, Unreached | Throttled)

    def test_the_subject_says_what_it_is_about_and_cannot_end_its_line(self, notifier):
        notifier.send(notice("i-1 drifted\r\nBcc: all@example.org", severity=Severity.CRITICAL))
        [mail] = self.box.mails
        assert mail["Subject"].startswith("driftd: i-1 drifted")
        assert mail["Bcc"] is None


def test_each_line_is_an_outlet_of_its_own_that_keeps_its_name(tmp_path):
    file = tmp_path / "urls"
    file.write_text("# people\nmailto://u:s3cr3t@example.org\n\njson://localhost/\n")
    first = {url: name for name, url, _ in addresses(file)}
    file.write_text("json://localhost/\nmailto://u:s3cr3t@example.org\n")
    again = {url: name for name, url, _ in addresses(file)}
    assert first == again
    assert len(set(first.values())) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "s3cr3t: no url\n", "nosuchservice://s3cr3t@x\n"])
def test_a_bad_file_is_found_at_once_and_not_repeated(tmp_path, text):
    (tmp_path / "urls").write_text(text)
    with pytest.raises(BadInput) as raised:
        [AppriseNotifier(url, where) for _, url, where in addresses(tmp_path / "urls")]
    assert "s3cr3t" not in str(raised.value) + raised.value.hint
