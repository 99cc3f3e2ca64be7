"""Attestations on disk: signed with private keys, read with the public ones that one trusts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from driftd.core import dsse
from driftd.core.attested import Verified, opened
from driftd.core.dsse import Envelope, Signature
from driftd.core.errors import BadInput
from driftd.core.wording import attested as wording
from driftd.edges.documents.checkpoints import verifiers
from driftd.edges.documents.files import read
from driftd.edges.documents.signkeys import PublicKey, SigningKey


def seal_attestation(statement: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The text of an envelope with a signature by each of ``keys``, of which there is one at least."""
    by_id = {key.id: key for key in keys}
    signed = dsse.pae(statement)
    return dsse.encode(Envelope(statement, tuple(Signature(one, by_id[one].sign(signed)) for one in sorted(by_id))))


def load_attestation(file: Path, keys: Sequence[PublicKey]) -> Verified:
    """What ``file`` attests by one of ``keys``. Raises BadInput when it cannot be read, else NotAttested."""
    try:
        text = read(file, dsse.SIZE_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", wording.MAKE) from None
    return opened(text, verifiers(list(keys)))
