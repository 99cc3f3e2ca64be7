"""Host keys from a console's text: what cloud-init wrote first counts, and nothing that only looks like it."""

from __future__ import annotations

import base64

import pytest

from driftd.edges.providers.aws.hostkeys import published


def line(kind: str, seed: bytes) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + (32).to_bytes(4, "big") + seed * 32
    return f"{kind} {base64.b64encode(blob).decode()}"


ED, EC, OTHER = line("ssh-ed25519", b"a"), line("ecdsa-sha2-nistp256", b"b"), line("ssh-ed25519", b"c")
BEGIN, END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


def console(*keys: str, before: str = "") -> bytes:
    return "\r\n".join(["[    0.0] Linux", BEGIN, *(before + key for key in keys), END, "web login: "]).encode()


@pytest.mark.parametrize("before", ["", "ci-info: ", "[   12.345678] cloud-init[512]: "])
def test_the_keys_of_the_block_the_best_kind_first(before):
    assert published(console(f"{EC} root@web", f"{ED} root@web", before=before)) == (ED, EC)


def test_the_first_block_counts():
    assert published(console(ED) + console(OTHER)) == (ED,)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\x00" * 99,
        f"{ED}\n".encode(),  # outside of a block
        f"{BEGIN}\n{ED}\n".encode(),  # not whole yet
        console(),
        console("ssh-ed25519 AAAA", "ssh-dss " + "A" * 60),
        console("ssh-ed25519 " + "A" * 68),  # another kind's blob
        f"-----BEGIN SSH HOST KEY FINGERPRINTS-----\n{ED}\n-----END SSH HOST KEY FINGERPRINTS-----".encode(),
    ],
)
def test_what_is_no_whole_block_of_keys_is_none(text):
    assert published(text) == ()


def test_a_console_that_is_long_and_hostile_is_read_in_a_moment():
    assert published((BEGIN + "\n").encode() * 20_000 + b"ssh-ed25519 " + b"A" * 500_000) == ()
