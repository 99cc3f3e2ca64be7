"""Alertmanager: which alerts are firing (its HTTP API v2, /api/v2/alerts)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from driftd.core import strictjson
from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Unseen
from driftd.core.matchers import Matcher
from driftd.core.ports import Alert
from driftd.core.wording.judging import plain
from driftd.edges.http.exchange import Answer
from driftd.edges.http.server import NoAnswerError, Server

BODY_LIMIT = 8 * 1024 * 1024
MOST_LABELS = 64
# The label ``reporter`` of what driftd posts there itself: what it says of its own work is no reason to stop it.
REPORTER = "driftd"


class Alertmanager:
    """``driftd.core.ports.Alerts`` over HTTP.

    ``watchdog`` matches an alert that always fires: without it, an Alertmanager that nobody tells anything has nothing
    to say, and would look like a fleet where all is well. Empty: there is no such alert.
    """

    def __init__(self, server: Server, watchdog: Sequence[Matcher] = ()) -> None:
        self._server = server
        self._watchdog = tuple(watchdog)

    def firing(self, matchers: Sequence[Matcher]) -> Sequence[Alert] | Unseen:
        """See ``Alerts.firing``."""
        if self._watchdog:
            alive = self._firing(self._watchdog, silenced=True)
            if isinstance(alive, Unseen):
                return alive
            if not alive:
                shown = ", ".join(map(str, self._watchdog))
                return Unseen(
                    f"Alertmanager at {self._server.shown} does not have the alert that always fires ({shown}), "
                    "so nobody tells it anything",
                    "see whether Prometheus runs and reaches it",
                )
        return self._firing(matchers)

    def _firing(self, matchers: Sequence[Matcher], *, silenced: bool = False) -> Sequence[Alert] | Unseen:
        quiet = str(silenced).lower()
        query = [
            ("active", "true"),
            ("silenced", quiet),
            ("inhibited", quiet),
            ("unprocessed", "true"),  # not yet known to be silenced
            *(("filter", str(matcher)) for matcher in matchers),
        ]
        where = f"Alertmanager at {self._server.shown}"
        try:
            answer = self._server.get("/api/v2/alerts", query, BODY_LIMIT)
            found = _alerts(answer, matchers, silenced=silenced)
        except UnicodeEncodeError:
            return Unseen("a matcher holds a name that is no text")
        except (Unavailable, BadInput) as error:
            return Unseen(f"Alertmanager cannot be asked: {error}", error.hint)
        except NoAnswerError as error:
            return Unseen(f"{where} {error}")
        except ValueError as error:
            return Unseen(f"{where} answered {answer.status} in a way that cannot be read: {plain(str(error))}")
        return found


def _alerts(answer: Answer, matchers: Sequence[Matcher], *, silenced: bool) -> list[Alert]:
    """The alerts in an answer. Raises NoAnswerError, or ValueError where Alertmanager does not answer like that."""
    if not answer.whole:
        raise NoAnswerError(f"has more than {BODY_LIMIT} bytes of alerts")
    value = strictjson.read(answer.body)
    if answer.status != 200:
        raise NoAnswerError(f"answered {answer.status}: {plain(value) if isinstance(value, str) else 'no alerts'}")
    found = []
    for one in value if isinstance(value, list) else [value]:
        labels = _labels(strictjson.field(one, "labels", dict))
        status = strictjson.field(one, "status", dict)
        muted = [*strictjson.field(status, "silencedBy", list), *strictjson.field(status, "inhibitedBy", list)]
        if any(matcher.denies(labels) for matcher in matchers):
            raise NoAnswerError("answered with alerts that were not asked for")
        if labels.get("reporter") != REPORTER and (silenced or not muted):
            since = one.get("startsAt") if isinstance(one, dict) else None
            found.append(Alert(plain(labels.get("alertname", "") or "no name", 80), labels, _since(since)))
    return found


def _labels(value: Mapping[object, object]) -> dict[str, str]:
    if len(value) > MOST_LABELS or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"an alert's labels are not at most {MOST_LABELS} texts")
    return {str(name): str(text)[:1024] for name, text in value.items()}


def _since(text: object) -> datetime | None:
    """RFC 3339 with up to nine decimals, of which Python reads six."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None
