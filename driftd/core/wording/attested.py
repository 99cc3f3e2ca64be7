"""Sentences about what an instance is attested to be, and about attestations that nobody should go by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from driftd.core.wording import count, lasting, listed
from driftd.core.wording.trust import short

MAKE = "make one with: driftd attest INSTANCE -o FILE"
IS_IT = f"is this the right file? {MAKE[0].upper()}{MAKE[1:]}"
ANOTHER = "name the right file, or make a new one: driftd attest INSTANCE -o FILE"
KEYS = "say whose signature counts: --key FILE.pub, or name it under trust: manifest_keys"
LONGER = "let it hold longer, from the look's beginning on: --valid-for 1h"
WITHOUT_LAST = "leave out --last, and it is looked at now"


def when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def refused(file: str, why: str) -> str:
    return f"{file} attests nothing here: {why}"


def other_instance(attested: str, wanted: str) -> str:
    return f"it is of the instance {attested} and not of {wanted}"


def other_image(attested: str, wanted: str) -> str:
    return f"it is of the image {attested} and not of {wanted}"


def of_the_future(at: datetime) -> str:
    return f"it tells of a look at {when(at)}, which is still to come: one of the two clocks is wrong"


def expired(at: datetime) -> str:
    return f"it held until {when(at)}, and what the instance is now it does not say"


def other_kind(kind: str) -> str:
    return f"it is a statement of the kind {kind!r}, and no attestation of an instance"


def of_a_manifest() -> str:
    return "it is a signed manifest, which says what an image is, and no attestation of an instance"


def forged(key: str) -> str:
    return f"its signature by {short(key)} is not that key's over what is there, so it was edited or put together"


def strange(keys: Sequence[str], trusted: Sequence[str]) -> str:
    return (
        f"it is signed by {listed([short(key) for key in keys])}, "
        f"and only {listed([short(key) for key in trusted])} {'is' if len(trusted) == 1 else 'are'} trusted here"
    )


def nobody_trusted() -> str:
    return "no key is trusted here, so nobody's word counts"


def made(instance: str, result: str, verdict: str, until: datetime, keys: Sequence[str]) -> str:
    return (
        f"{instance}: {result} ({verdict}), signed by {listed([short(key) for key in keys])}, holds until {when(until)}"
    )


def unseen(instance: str, why: str) -> str:
    return f"{instance} could not be looked at, so nothing is attested: {why}"


def over_already(instance: str) -> str:
    return f"the look at {instance} took longer than its attestation is to hold, so nothing is attested"


def never_looked(instance: str) -> str:
    return f"{instance} was never looked at, so there is no last look to attest"


def last_was_unseen(instance: str, why: str) -> str:
    return f"the last look at {instance} could not see it, so nothing is attested: {why}"


def too_old(instance: str, at: datetime, now: datetime) -> str:
    return f"the last look at {instance} is {lasting(now - at)} old, and no attestation of it would hold any more"


def manifest_moved(image: str) -> str:
    return (
        f"the manifest of {image} is another, or was first seen, since the last look began, "
        "so what that look went by is not known"
    )


def manifest_unsigned(image: str) -> str:
    return f"nobody signed the manifest of {image}, so by which one the last look went is not known"


def no_longer_accepted(instance: str, findings: int) -> str:
    """Why a last look is not to be gone by any more."""
    are = "is" if findings == 1 else "are"
    return f"{count(findings, 'finding')} of the last look at {instance} {are} no longer accepted"


def holding(at: datetime, now: datetime, *, recalled: bool) -> str:
    return f"{when(at)}, {lasting(now - at)} ago" + ("; told by the store, without a visit" if recalled else "")
