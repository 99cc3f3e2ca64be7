"""The doctor's checks of Slack: whether it takes the tokens that are configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from driftd.core.checkup import Check, Mark, Point
from driftd.core.errors import ProviderError
from driftd.core.wording import doctor as say
from driftd.settings import Settings
from driftd.wiring.notifying import slack_api


def slack(settings: Settings) -> Iterator[Check]:
    """A check for each token. Nothing is posted, and no connection for clicks is opened: it would get some of them."""
    if settings.notify.slack.token_file:
        yield Check("notify", "slack", partial(_point, "slack", partial(_messages, settings), say.SLACK_MESSAGES))
    if settings.notify.slack.app_token_file:
        about = "slack buttons"
        yield Check("notify", about, partial(_point, about, partial(_clicks, settings), say.SLACK_CLICKS))


def _messages(settings: Settings) -> None:
    slack_api(settings).call("auth.test", {})


def _clicks(settings: Settings) -> None:
    from driftd.edges.slack.calls import read  # noqa: PLC0415  # needs the extra

    slack_api(settings).place(read(settings.path(settings.notify.slack.app_token_file)))


def _point(about: str, ask: Callable[[], None], good: str) -> Sequence[Point]:
    try:
        ask()
    except ProviderError as error:
        # Only what Slack itself refuses has a hint: of one that is away nothing is known.
        return [Point("notify", about, Mark.WRONG if error.hint else Mark.UNSEEN, str(error), error.hint)]
    return [Point("notify", about, Mark.GOOD, good)]
