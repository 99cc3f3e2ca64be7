"""Sentences about who vouches for a manifest."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.wording import listed

UNSIGNED = "nobody vouches for the manifest (it is not signed), so nothing is replaced because of it"
UNTRUSTED = (
    "nobody vouches for the manifest (it is signed, and no key is trusted here), so nothing is replaced because of it"
)
KEYS_HINT = "name the signer's public key under trust: manifest_keys"


def sign_hint(file: str) -> str:
    return (
        f"sign it: driftd manifest sign {file} --key KEY; or say trust: {{unsigned: look}}, and nothing is replaced "
        "because of it"
    )


def unsigned(image: str) -> str:
    return f"the manifest of {image} is not signed, so nothing is judged by it"


def no_keys(image: str) -> str:
    return f"the manifest of {image} is signed, and no key is trusted here, so nothing is judged by it"


def wrongly_signed(file: str, why: str) -> str:
    return f"{file} does not vouch for its manifest: {why}"


def beside(name: str) -> str:
    """A file of the image, found beside its manifest, that the statement does not speak for."""
    return f"{name} is there, too, and was not signed with it"


def not_signed(name: str) -> str:
    return f"{name} is not what was signed"


def missing(name: str) -> str:
    return f"{name} was signed and is not there"


def other_image(signed: str, image: str) -> str:
    return f"it was signed for {signed} and not for {image}"


def no_trusted_key(keys: int) -> str:
    return (
        f"{'the key' if keys == 1 else f'none of the {keys} keys'} that signed it is {'not ' * (keys == 1)}trusted here"
    )


def bad_signature(key: str) -> str:
    return f"its signature by {short(key)} is not that key's over what is there"


def rolled_back(image: str, sequence: int, seen: int) -> str:
    return f"the manifest of {image} is an old one: its sequence is {sequence}, and {seen} was seen before"


def forked(image: str, sequence: int) -> str:
    return f"the manifest of {image} is not the one that was seen before with the same sequence, {sequence}"


def signature_gone(image: str, seen: int) -> str:
    return f"the manifest of {image} is not signed, and one that was (sequence {seen}) was seen before"


def signed(file: str, keys: Sequence[str], sequence: int) -> str:
    return f"{file}: signed by {listed([short(key) for key in keys])}, sequence {sequence}"


STILL_PROVISIONAL = (
    "it is still provisional, so nothing is replaced because of it: sign it with --vouch when the server that it was "
    "read off was as the image made it"
)
ROLLBACK_HINT = "bring the newest one, or sign this one again with a higher --sequence"


def looking_unsigned() -> str:
    """At the daemon's start, where the configuration says so out loud."""
    return (
        "trust.unsigned is look: manifests that nobody signed are looked by and never replaced by; "
        "whoever can write to the manifests' directory decides what counts as drift"
    )


def no_key_trusted() -> str:
    return "no key is trusted (trust.manifest_keys is empty), so every instance will be unknown"


def short(key: str) -> str:
    """A key's id as people compare it: sixteen digits."""
    return key[:16]
