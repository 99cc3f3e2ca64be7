"""What stands before moto: counts calls, makes them fail on demand, and is turned through /_driftd/.

GET, DELETE /_driftd/calls; GET, POST /_driftd/knobs; GET, POST, DELETE /_driftd/faults; POST /_driftd/clock {"forward":
seconds}; POST /_driftd/reset. Calls of REST protocols (S3, EBS direct) are counted and named as ``service.METHOD``.
"""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import answers
from matter import MatterAway
from moto.core.responses import BaseResponse
from moto.moto_api._internal.models import moto_api_backend
from world import GUARDED, World

SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
CUTS = {"timeout-before", "timeout-after"}
JSON = "application/json"
ALL = CUTS | set(answers.KINDS)

Environ = dict[str, Any]
Start = Callable[..., Any]


class Front:
    """A WSGI application around moto's."""

    def __init__(self, world: World, app: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self.world, self.app = world, app
        self.calls: Counter[str] = Counter()
        self.faults: list[dict[str, Any]] = []
        self.lock = threading.RLock()  # not the world's: who waits for the matter must not keep others from counting
        world.resets.append(self._forget)

    def _forget(self) -> None:
        self.calls.clear()
        self.faults.clear()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_driftd/"):
            return self._control(path.removeprefix("/_driftd/"), environ, start)
        if path.startswith("/moto-api"):
            return self.app(environ, start)
        service, operation = _called(environ)
        with self.lock:
            self.calls[operation] += 1
            fault = self._fault(operation)
        if fault is None:
            return self.app(environ, start)
        if fault in CUTS:
            return self._cut(fault, environ)
        spoken = answers.protocol(service, environ.get("HTTP_X_AMZ_TARGET"), environ.get("CONTENT_TYPE", ""))
        return _answer(start, answers.fault(fault, spoken))

    def _fault(self, operation: str) -> str | None:
        for one in self.faults:
            if one["operation"] == operation:
                one["times"] -= 1
                if one["times"] <= 0:
                    self.faults.remove(one)
                return str(one["kind"])
        return None

    def _cut(self, fault: str, environ: Environ) -> Iterable[bytes]:
        if fault == "timeout-after":
            for _ in self.app(environ, lambda *_: None):
                pass
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError(fault)  # the server drops the connection without a word

    def _control(self, what: str, environ: Environ, start: Start) -> Iterable[bytes]:
        verb = environ["REQUEST_METHOD"]
        work = getattr(self, f"_{verb.lower()}_{what}", None)
        if work is None:
            return _json(start, 404, {"why": f"there is no {verb} /_driftd/{what}"})
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            said = json.loads(body or b"{}")
            with self.lock:
                found = json.dumps(work(said)).encode()
            return _answer(start, answers.Answer(200, JSON, found))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _json(start, 400, {"why": f"{type(error).__name__}: {error}"})

    def _get_calls(self, _: Any) -> Any:
        return dict(self.calls)

    def _delete_calls(self, _: Any) -> Any:
        self.calls.clear()
        return {}

    def _get_knobs(self, _: Any) -> Any:
        return asdict(self.world.knobs) | self.world.knobs.more

    def _post_knobs(self, said: Any) -> Any:
        self.world.knobs.turn(said)
        return asdict(self.world.knobs) | self.world.knobs.more

    def _get_faults(self, _: Any) -> Any:
        return self.faults

    def _post_faults(self, said: Any) -> Any:
        fault = {"operation": str(said["operation"]), "kind": str(said["kind"]), "times": int(said.get("times", 1))}
        if fault["kind"] not in ALL:
            raise ValueError(f"a fault is one of {', '.join(sorted(ALL))}")
        self.faults.append(fault)
        return self.faults

    def _delete_faults(self, _: Any) -> Any:
        self.faults.clear()
        return []

    def _post_clock(self, said: Any) -> Any:
        self.world.ahead_s += float(said["forward"])
        return {"ahead": self.world.ahead_s}

    def _post_reset(self, _: Any) -> Any:
        with self.world.lock:
            moto_api_backend.reset()
            self.world.reset()
        return {}


def _called(environ: Environ) -> tuple[str, str]:
    """Service and operation of a request, read without spending its body."""
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope.group(1) if scope else "unsigned"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, str(target).rpartition(".")[2]
    if "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if action := parse_qs(body.decode(errors="replace")).get("Action"):
            return service, action[0]
    return service, f"{service}.{environ['REQUEST_METHOD']}"


def _answer(start: Start, answer: answers.Answer) -> Iterable[bytes]:
    line = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    start(line, [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))])
    return [answer.body]


def _json(start: Start, status: int, found: Any) -> Iterable[bytes]:
    return _answer(start, answers.Answer(status, JSON, json.dumps(found).encode()))


def patch(world: World) -> None:
    """One call at a time, after all that was due; where the matter is away, an InternalError as AWS words it."""
    plain = BaseResponse.call_action

    def failed(self: BaseResponse, status: int, code: str, why: str) -> Any:
        kind = self.headers.get("Content-Type") or ""
        spoken = answers.protocol(str(self.service_name), self.headers.get("X-Amz-Target"), kind)
        answer = answers.error(spoken, status, code, why)
        return status, {"Content-Type": answer.kind, "status": str(status)}, answer.body.decode()

    def call_action(self: BaseResponse) -> Any:
        try:
            if self.service_name not in GUARDED:
                return plain(self)
            with world.lock:
                world.tick()
                return plain(self)
        except MatterAway as away:
            return failed(self, 500, "InternalError", str(away))
        except NotImplementedError as gap:
            # Not a 500: an SDK would try again and again, and then blame the wire.
            return failed(self, 400, "NotImplementedByTheEmulator", str(gap))

    BaseResponse.call_action = call_action
