"""Stale: whether what a plan rests on is still so. Pure: two readings in, one sentence for each difference out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from driftd.core.journal import read_instant
from driftd.core.planning.document import SCHEMA
from driftd.core.wording import planning as said

_OWNED = ("volumes", "addresses")
_MARKS = ("verdict", "reason", "action", "taint", "image", "zone")


def refused(document: Mapping[str, Any], store: str, now: datetime) -> str:
    """Why a plan may not be applied at all, whatever has changed; "" when it may. It is whole: its digest fits."""
    if document.get("schema") != SCHEMA:
        return said.other_schema(str(document.get("schema")), SCHEMA)
    if document["store"] != store:
        return said.other_store(document["store"], store)
    if not _consistent(document):
        return said.INCONSISTENT
    if document["asked"] != "by hand":
        return said.UNATTENDED
    made, until = read_instant(document["made_at"]), read_instant(document["valid_until"])
    if made is None or until is None or made > now:
        return said.in_the_future(document["made_at"])
    return said.expired(document["valid_until"]) if now >= until else ""


def _consistent(document: Mapping[str, Any]) -> bool:
    """Whether each replacement is one of what the plan rests on, once: a digest alone does not say so."""
    rests_on = document["made_from"]["instances"]
    ids = [one["instance"] for one in document["replacements"]]
    return sorted(ids) == sorted(rests_on) and all(
        one["group"] == rests_on[one["instance"]]["group"] in document["made_from"]["groups"]
        and one["replacement"] == rests_on[one["instance"]]["replacement"]
        for one in document["replacements"]
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any], slots: Mapping[str, str]) -> list[str]:
    """What has changed since ``before`` was read that matters to the plan; ``slots`` says who is in which slot now."""
    found: list[str] = []
    for name, was in before["groups"].items():
        if name in now["groups"]:
            found += _group(name, was, now["groups"][name], before["instances"])
    for name, was in before["instances"].items():
        here = now["instances"].get(name)
        if here is None:
            found.append(said.gone(was["slot"] or name, name, slots.get(was["slot"], "")))
        else:
            found += _instance(name, was, here)
    return found


def _group(name: str, was: Mapping[str, Any], now: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    settings = {key: (was["settings"].get(key, ""), value) for key, value in now["settings"].items()}
    changed = [said.setting(name, key, *pair) for key, pair in sorted(settings.items()) if pair[0] != pair[1]]
    yield from changed
    if was["configuration"] != now["configuration"] and not changed:
        yield said.configured(name)
    if was["policy"] != now["policy"]:
        yield said.policy(name)
    if was["size"] != now["size"]:
        yield said.sized(name, was["size"], now["size"])
    if now["stopped"] and was["stopped"] != now["stopped"]:
        yield said.stopped(name, now["stopped"])
    for one in sorted(set(now["breakers"]) - set(was["breakers"])):
        yield said.breaker(name, one)
    yield from _opened(name, was["open"], now["open"], [one["replacement"] for one in mine.values()])


def _opened(name: str, was: Mapping[str, str], now: Mapping[str, str], adopted: Sequence[str]) -> Iterator[str]:
    """What is being replaced besides. One that was under way may get on; one that the plan asks for may not."""
    for rid in sorted(now.keys() - was.keys()):
        yield said.begun(name, rid)
    for rid in adopted:
        if rid and rid not in now:
            yield said.over(name, rid)
        elif rid and now[rid] not in {was.get(rid), "admitting"}:
            yield said.moved_on(name, rid, was.get(rid, "waiting"), now[rid])


def _instance(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    called = was["slot"] or name
    if was["slot"] != now["slot"] or was["group"] != now["group"]:
        yield said.elsewhere(name, was["slot"], now["slot"])
    for mark in _MARKS:
        if was[mark] != now[mark]:
            yield said.judged(called, mark, was[mark], now[mark])
            break
    for kind in _OWNED:
        for thing in sorted(was[kind].keys() | now[kind].keys()):
            if was[kind].get(thing) != now[kind].get(thing):
                yield said.owned(called, kind, thing, was[kind].get(thing), now[kind].get(thing))
    if now["held"] and was["held"] != now["held"]:
        yield said.held(called, now["held"])
