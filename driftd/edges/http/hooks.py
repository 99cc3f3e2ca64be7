"""Hooks as HTTP calls: what a command is told by its environment is posted as a JSON document, and its answer counts.

2xx means done, and 202 with Retry-After "not yet, ask again". A redirect is followed by nobody. Of an answer only its
beginning is read, however long it is; one that repeats our token is quoted nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import HookName, NotYet
from driftd.core.wording.judging import plain
from driftd.core.world import token
from driftd.edges.http.cloudevents import key_in, signed
from driftd.edges.http.exchange import Answer
from driftd.edges.http.posting import seconds
from driftd.edges.http.server import TOKEN_LIMIT, Server
from driftd.secretfiles import held

ANSWER_LIMIT = 1 << 20  # of what is asked; of any other answer the beginning says why not
SAID_LIMIT = 8 << 10
_PIECE = 8  # of a token: so much of it is too much
_PLAIN = re.compile(r"[A-Za-z0-9._:/-]{1,200}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hook is posted to, with the files of its secrets: the server's bearer token, and what it is signed by.

    Raises BadInput for a secret that cannot be read or is none.
    """

    server: Server
    token_file: Path | None = None
    secret_file: Path | None = None

    def __post_init__(self) -> None:
        if self.secret_file is not None:
            key_in(self.secret_file)


class HttpHooks:
    """``driftd.core.ports.Hooks`` over HTTP."""

    def __init__(self, places: Mapping[HookName, Place], clock: Callable[[], datetime]) -> None:
        self._places = dict(places)
        self._clock = clock

    def has(self, name: HookName) -> bool:
        """See ``Hooks.has``."""
        return name in self._places

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str | NotYet:
        """See ``Hooks.run``."""
        if not self.has(name):
            return ""
        answer = self._post(name, instance, group, facts, SAID_LIMIT)
        about = f"the {name} hook of {group} on {instance.id}"
        if isinstance(answer, Unseen):
            return f"{about} {answer.reason}"
        if answer.status == 202 and answer.retry_after:
            return NotYet(f"{about} is not done yet", seconds(answer.retry_after))
        wrong = self._wrong(name, answer)
        return f"{about} {wrong}" if wrong else ""

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """See ``Hooks.ask``."""
        if not self.has(name):
            return Unseen(f"{group} has no {name} hook", f"name one: groups.{group}.hooks.{name}")
        answer = self._post(name, instance, group, {}, ANSWER_LIMIT)
        about = f"the {name} hook of {group} on {instance.id}"
        if isinstance(answer, Unseen):
            return Unseen(f"{about} {answer.reason}", answer.hint)
        if wrong := self._wrong(name, answer):
            return Unseen(f"{about} {wrong}")
        if not answer.whole:
            return Unseen(f"{about} said more than {ANSWER_LIMIT >> 20} MiB")
        return answer.body

    def _post(
        self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str], limit: int
    ) -> Answer | Unseen:
        place = self._places[name]
        told = {
            **facts,
            "hook": name.value,
            "instance": instance.id,
            "address": instance.address,
            "group": group,
            "slot": instance.slot,
            "image": instance.image,
        }
        body = json.dumps(told, ensure_ascii=True, sort_keys=True).encode("ascii")
        headers = {"Content-Type": "application/json"}
        key = _key(facts.get("rid", ""), name, instance)
        if key:
            headers["Idempotency-Key"] = key
        try:
            if place.secret_file is not None:
                headers |= signed(key or uuid4().hex, self._clock(), body, key_in(place.secret_file))
            return place.server.send("", body, headers, limit)
        except (Unavailable, BadInput) as error:
            return Unseen(f"got no answer: {error}", error.hint)

    def _wrong(self, name: HookName, answer: Answer) -> str:
        """What is wrong with an answer, as the end of a sentence; "" when nothing is."""
        if 200 <= answer.status < 300:
            return ""
        place = self._places[name]
        said = plain(_quotable(answer.body[:SAID_LIMIT], place.token_file).decode("utf-8", "replace").strip())
        where = f"was answered {answer.status} by {place.server.shown}"
        if 300 <= answer.status < 400:
            return f"{where}: a redirect, which is not followed"
        return where + (f": {said}" if said else "")


def _key(rid: str, name: HookName, instance: Instance) -> str:
    """The same for each call of a hook in one replacement, so that whoever receives it can tell what came twice."""
    readable = f"{rid}/{name}/{instance.id}"
    if not rid:
        return ""
    return readable if _PLAIN.fullmatch(readable) else token(rid, f"{name} {instance.id}", 1)


def _quotable(said: bytes, token_file: Path | None) -> bytes:
    """What was answered; nothing of it where it repeats some of our token, as a page that shows a request whole may."""
    if token_file is None:
        return said
    try:
        secret = held(token_file, "token", TOKEN_LIMIT).strip()
    except BadInput:  # it is gone by now, and nobody can tell what may not be said
        return b""
    pieces = (secret[at : at + _PIECE] for at in range(max(1, len(secret) - _PIECE + 1)))
    return b"" if any(piece in said for piece in pieces) else said
