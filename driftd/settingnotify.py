"""Settings of whom driftd tells, and how (docs/notify.md): ``notify`` in the configuration. Secrets stand in files."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from driftd.core.findings import Severity
from driftd.settingparts import Duration, Strict


def _user(name: str) -> str:
    if not (name[:1] in {"U", "W"} and name.isascii() and name.isalnum() and name == name.upper()):
        raise ValueError(f"{name!r} is no user id of Slack; it looks like U024BE7LH (a profile's menu: Copy member ID)")
    return name


SlackUser = Annotated[str, AfterValidator(_user)]
Timeout = Annotated[Duration, Field(gt=timedelta(0), le=timedelta(seconds=30))]


class MaySettings(Strict):
    """Who may press which button in Slack, by user id; nobody whom nobody names."""

    approve: list[SlackUser] = Field(default_factory=list)
    deny: list[SlackUser] = Field(default_factory=list)
    hold: list[SlackUser] = Field(default_factory=list)
    accept: list[SlackUser] = Field(default_factory=list)


class SlackSettings(Strict):
    """A channel of Slack. Either ``token_file`` (one message per incident, buttons), or ``webhook_file`` (told only).

    ``app_token_file`` is for the buttons. ``singly`` is how many messages a minute about one group stand alone.
    """

    channel: str = ""
    token_file: str = ""
    app_token_file: str = ""
    webhook_file: str = ""
    may: MaySettings = MaySettings()
    at_least: Severity = Severity.LOW
    singly: int = Field(default=5, ge=1, le=50)
    url: str = "https://slack.com/api/"
    timeout: Timeout = timedelta(seconds=10)

    @model_validator(mode="after")
    def _whole(self) -> SlackSettings:
        if self.webhook_file and (self.token_file or self.app_token_file or self.channel):
            raise ValueError("webhook_file is a way of its own: it excludes channel, token_file and app_token_file")
        if bool(self.channel) != bool(self.token_file):
            raise ValueError("channel and token_file go together: where to, and by which right")
        if self.app_token_file and not self.token_file:
            raise ValueError("buttons (app_token_file) need messages that can change: channel and token_file")
        return self


class WebhookSettings(Strict):
    """Whom to post each message to, as a CloudEvent: signed by ``secret_file``, with the bearer token of another."""

    url: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = ""
    secret_file: str = ""
    token_file: str = ""
    ca_file: str = ""
    at_least: Severity = Severity.INFO
    timeout: Timeout = timedelta(seconds=5)


class AlertmanagerNotifySettings(Strict):
    """Whether driftd's incidents are alerts in the Alertmanager of the top-level ``alertmanager`` section."""

    post: bool = False
    at_least: Severity = Severity.MEDIUM


class AppriseSettings(Strict):
    """E-mail and the long tail: a file with one Apprise URL a line, each of them told on its own."""

    urls_file: str = ""
    at_least: Severity = Severity.MEDIUM
    singly: int = Field(default=5, ge=1, le=50)


class Notify(Strict):
    """Whom driftd tells besides its log."""

    slack: SlackSettings = SlackSettings()
    webhooks: list[WebhookSettings] = Field(default_factory=list)
    alertmanager: AlertmanagerNotifySettings = AlertmanagerNotifySettings()
    apprise: AppriseSettings = AppriseSettings()
