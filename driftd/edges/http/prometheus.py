"""Prometheus as a judge: one instant query, one number (its HTTP API v1, /api/v1/query; Thanos and Mimir speak it)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from driftd.core import strictjson
from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Unseen
from driftd.core.wording.judging import plain
from driftd.edges.http.exchange import Answer
from driftd.edges.http.server import NoAnswerError, Server

BODY_LIMIT = 1024 * 1024


class Prometheus:
    """``driftd.core.ports.Judge`` over HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def ask(self, query: str) -> float | Unseen:
        """See ``Judge.ask``."""
        where = f"Prometheus at {self._server.shown}"
        try:
            answer = self._server.post("/api/v1/query", [("query", query)], BODY_LIMIT)
        except UnicodeEncodeError:
            return Unseen("the query holds a name that is no text")
        except (Unavailable, BadInput) as error:
            return Unseen(f"Prometheus cannot be asked: {error}", error.hint)
        if not answer.whole:
            return Unseen(f"{where} answered more than {BODY_LIMIT} bytes", "ask for one number: sum(…), max(…)")
        try:
            return _number(answer)
        except NoAnswerError as error:
            return Unseen(f"{where} {error}")
        except ValueError as error:
            return Unseen(f"{where} answered {answer.status} in a way that cannot be read: {plain(str(error))}")


def _number(answer: Answer) -> float:
    """The number in an answer. Raises NoAnswerError, or ValueError where it is no answer of Prometheus at all."""
    value = strictjson.read(answer.body)
    status = strictjson.field(value, "status", str)
    if status == "error":
        kind, said = strictjson.field(value, "errorType", str), strictjson.field(value, "error", str)
        raise NoAnswerError(f"could not answer the query ({plain(kind, 40)}): {plain(said)}")
    if status != "success" or answer.status != 200:
        raise ValueError("it is neither an answer nor an error")
    if isinstance(value, Mapping) and value.get("warnings"):
        raise NoAnswerError(f"answered only in part: {plain(str(value['warnings']))}")
    data = strictjson.field(value, "data", dict)
    kind = strictjson.field(data, "resultType", str)
    result = strictjson.field(data, "result", list)
    if kind == "scalar":
        return _sample(result)
    if kind != "vector":
        raise NoAnswerError(f"answered with a {plain(kind, 40)}, and not with one number")
    if not result:
        raise NoAnswerError("has no data for the query")
    if len(result) > 1:
        raise NoAnswerError(f"answered with {len(result)} series, and not with one: sum(…) or max(…) makes one of them")
    if isinstance(result[0], dict) and "histogram" in result[0]:
        raise NoAnswerError("answered with a histogram, and not with one number")
    return _sample(strictjson.field(result[0], "value", list))


def _sample(sample: list[object]) -> float:
    """The value of [seconds, "value"]."""
    if len(sample) != 2 or not isinstance(sample[1], str) or len(sample[1]) > 64:
        raise ValueError("a sample is no time and value")
    try:
        number = float(sample[1])
    except ValueError:
        raise ValueError("a sample's value is no number") from None
    if not math.isfinite(number):
        raise NoAnswerError(f"answered {number}, which is no finite number: what it divides by may be 0")
    return number
