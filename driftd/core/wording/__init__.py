"""Sentences for people: what several places say, said once.

A function here takes plain values and returns one sentence without a full stop at its end, or a name made fit for
a person's eyes. Each floor that speaks adds its section; nothing here decides anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby

# --- names -----------------------------------------------------------------------------------------------------------

_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


def shown(name: bytes) -> str:
    r"""A name of unknown origin, safe to print anywhere and still telling every name apart from every other.

    What is not UTF-8, and every character that a terminal would act on or hide (control characters, directional
    marks, unusual spaces), shows as ``\xHH`` for each of its bytes; a backslash shows as two.
    """
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and not _UNSHOWN.search(text):
        return text
    return "".join(_shown_character(character) for character in text)


def _shown_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    lone = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", lone))


def printable(sentence: str) -> str:
    """A sentence on its way to a terminal: whatever a terminal would act on is shown instead. Backslashes stay."""
    if sentence.isprintable():
        return sentence
    return "".join(c if c == "\\" else _shown_character(c) for c in sentence)


def count(number: int, one: str, many: str = "") -> str:
    """``3 findings``, ``1 finding``, ``no findings``."""
    word = one if number == 1 else many or one + "s"
    return f"{number or 'no'} {word}"


def listed(items: Sequence[str], most: int = 3) -> str:
    """``a, b and c``; what exceeds ``most`` is counted: ``a, b, c and 4 more``."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def lasting(span: timedelta) -> str:
    """A length of time as people say it: ``4 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    big, small = (f"{hours} h", f"{minutes % 60} min") if hours < 24 else (f"{days} d", f"{hours % 24} h")
    return big if small.startswith("0 ") else f"{big} {small}"


# --- looking ---------------------------------------------------------------------------------------------------------


def not_running(state: str) -> str:
    return f"the instance is {state}, so there is nothing to look at"


def no_image(instance: str) -> str:
    return f"nobody says which image {instance} was made from"


def no_manifest(image: str) -> str:
    return f"no manifest for {image}"


def bake_hint(image: str, file: str = "FILE") -> str:
    return f"make one with: driftd bake --root DIR --image {shlex.quote(image)} -o {shlex.quote(file)}"


def other_manifest(file: str, found: str, wanted: str) -> str:
    return f"{file} is the manifest of {found}, not of {wanted}"


def damaged_manifest(file: str, why: str) -> str:
    return f"{file} is not a manifest that can be trusted: {why}"


def hidden(paths: int, where: Sequence[str]) -> str:
    """Baked paths that a mount covers, and mounts that were not looked into: nothing can be said about them."""
    if not paths:
        return f"what is mounted on {listed(where)} could not be looked at"
    return f"{count(paths, 'baked path')} could not be looked at: something is mounted over {listed(where)}"


def withheld(paths: Sequence[str]) -> str:
    """Files that everybody may read, and that could not be read."""
    return f"what is in {listed(paths)} could not be read, though everybody may"


NO_LOGINS = "the log of logins does not have driftd's own visit, so it may lack others"
PROVISIONAL = "the manifest is provisional, so nothing is replaced because of it"


def kept_kinds(kinds: Sequence[str]) -> str:
    """Kinds of facts that were kept from a look, in part or whole; ``kept`` says why."""
    return f"not seen in full: {listed(kinds, most=4)}"


def cut_short(kinds: Sequence[str]) -> str:
    """Kinds of which there was more than a look takes, so that anything may hide among them."""
    return f"there is more of {listed(kinds, most=4)} than a look takes"


def kept(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Why facts were kept from a look: rows of kind, how and why, sorted by kind; one sentence for what is alike.

    ``package, unit not available: ... (and 2 more reasons)``
    """
    alike: dict[tuple[str, str, int], list[str]] = {}
    for kind, group in groupby(rows, key=lambda row: row[0]):
        (_, how, why), *more = group
        alike.setdefault((how, why, len(more)), []).append(kind)
    for (how, why, more_reasons), kinds in alike.items():
        others = f" (and {count(more_reasons, 'more reason')})" if more_reasons else ""
        yield f"{', '.join(kinds)} {how}: {shown(why.encode())}{others}"


def not_looked_for(kinds: Sequence[str]) -> str:
    """Kinds of facts that the manifest has and that the look said nothing of, not even why."""
    return f"nothing was said of {listed(kinds)}, which the manifest has"


def three_ways(expected: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """A fact with a live side: ``live 1, configured 0, baked 0``; "" for one without."""
    if not ({"live", "configured"} & {*expected, *actual}):
        return ""
    said = []
    if "live" in expected or "live" in actual:
        said.append(f"live {actual['live']}" if "live" in actual else "not live")
    said.append(f"configured {actual['configured']}" if "configured" in actual else "not configured")
    was, live = expected.get("configured", ""), expected.get("live", "")
    if live and was and live != was:
        said.append(f"baked live {live} and configured {was}")
    else:
        said.append(f"baked {live or was}" if live or was else "not baked")
    return ", ".join(said)


def covered(entries: int, facts: Mapping[str, int], unbaked: Sequence[str]) -> str:
    """How much a look saw, and what of it the manifest says nothing of."""
    said = f"seen: {count(entries, 'path')}, {count(sum(facts.values()), 'fact')} of {count(len(facts), 'kind')}"
    if unbaked:
        said += f"; not in the manifest, so not compared: {listed(unbaked, most=8)}"
    return said


def no_digest_key(key_id: str) -> str:
    return f"the key {key_id} is not here"


def not_compared_secrets(why: str) -> str:
    return f"passwords are not compared: {why}"


def keyless(means: str) -> str:
    return f"others may read what is sent by {means}, so no digest key is"


def unread(paths: int) -> str:
    return f"{count(paths, 'path')} could not be read"


# --- judging ---------------------------------------------------------------------------------------------------------


def clean(image: str) -> str:
    return f"nothing differs from {image}"


def explained(differences: int) -> str:
    return f"{count(differences, 'difference')}, {'all ' if differences > 1 else ''}explained"


def accepted(findings: int, said: Sequence[str]) -> str:
    """``said`` is who accepted them, each once, as ``suppressed`` says it."""
    return f"{count(findings, 'finding')}, {'all ' if findings > 1 else ''}{listed(said)}"


def drifted(findings: int, worst: str, severity: str, change: str) -> str:
    """The verdict's reason: how many, and the one to read first."""
    first = ", worst" if findings > 1 else ""
    return f"{count(findings, 'finding')}{first}: {severity} {worst} {change}"


def suppressed(owner: str, until: str, reason: str) -> str:
    return f"accepted by {owner} until {until}: {reason}"


def tainted(who: str, source: str, door: str, when: str, more: int, *, unverified: bool = False) -> str:
    """Why an instance is not trusted any more, whatever a later look says. A line alone accuses nobody."""
    others = f" (and {count(more, 'more session')})" if more else ""
    claim = "unverified, by a line that anybody could have written: " if unverified else ""
    return f"{claim}{who or 'somebody'} was on it by {door} from {source or 'an unknown address'} at {when}{others}"


# --- replacing -------------------------------------------------------------------------------------------------------


def unknown_group(group: str) -> str:
    return f"group {group} is not configured"


def replaced_already(instance: str, slot: str) -> str:
    return f"{instance} or its slot {slot or '(none)'} is being replaced already"


def no_open_replacement(name: str) -> str:
    return f"no open replacement has the id, slot or instance {name}"


def too_late_to_cancel(rid: str, old: str) -> str:
    return f"replacement {rid} is past its point of no return: the end of {old} was announced"


def cancel_requested(rid: str, old: str) -> str:
    return f"Replacement {rid} of {old} will be undone; the daemon does it from here. See: driftd status"


def cannot_observe(group: str, why: str) -> str:
    return f"the provider of {group} cannot be asked, so nothing is changed: {why}"


def interrupted() -> str:
    return "driftd ended before the outcome was written; the world is observed instead"


def paused(owner: str, group: str, reason: str) -> str:
    return f"{owner} paused {group or 'everything'}: {reason}"


def replacement_planned(old: str, group: str, why: str) -> str:
    return f"{old} in {group} is to be replaced: {why}"


def replacement_begun(old: str, group: str, why: str) -> str:
    return f"{old} in {group} is being replaced: {why}"


def replacement_undone(old: str, why: str) -> str:
    return f"the replacement of {old} is being undone: {why}"


def replacement_over(old: str, state: str, why: str) -> str:
    return f"the replacement of {old} is over, {state}: {why}"


def pruned(numbers: Mapping[str, int]) -> str:
    """What was deleted from the store because it was over long ago."""
    return "no longer kept: " + listed([f"{number} {what}" for what, number in numbers.items()], most=len(numbers))


# --- sweeping --------------------------------------------------------------------------------------------------------


def not_looked_at() -> str:
    return "not looked at yet"


def discovered(instance: str, group: str, slot: str) -> str:
    return f"{instance} is new in {group}" + (f", slot {slot}" if slot else "")


def vanished(instance: str, group: str) -> str:
    return f"{instance} in {group} is gone"


def no_inventory(group: str, why: str) -> str:
    return f"the inventory of {group} cannot be read, so nothing about it is changed: {why}"


def inventory_empty(group: str, known: int) -> str:
    return (
        f"the inventory of {group} is empty where {count(known, 'instance')} were known; none of them is taken as gone"
    )


def only_observes(instance: str, group: str) -> str:
    return f"{instance} is not replaced: {group} only observes"


def cannot_be_replaced(instance: str, why: str) -> str:
    return f"{instance} is not replaced: {why}"


def cancelled_lately(instance: str, until: str) -> str:
    return f"{instance} is not replaced before {until} UTC: its last replacement was stopped by a person"


def drift_found(instance: str, group: str, reason: str) -> str:
    return f"{instance} in {group} drifted: {reason}"


def vanished_by_itself(instance: str, group: str) -> str:
    return f"{vanished(instance, group)}, and driftd did not end it"


def session_seen(instance: str, group: str, taint: str) -> str:
    return f"{instance} in {group} is tainted: {taint}"


def drift_resolved(instance: str, group: str, reason: str, taint: str) -> str:
    return f"{instance} in {group} is as baked again: {reason}" + (f"; still tainted: {taint}" if taint else "")


def unknown_for_long(instance: str, group: str, reason: str, span: timedelta) -> str:
    return f"{instance} in {group} could not be looked at for {lasting(span)}: {reason}"


def not_said(text: str, why: str, pause: timedelta) -> str:
    return f"a message waits and is tried again in {lasting(pause)}: {why} (message: {text})"
