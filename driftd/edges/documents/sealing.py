"""Sealing: the envelope beside a manifest, written with private keys and verified with the public ones one trusts.

Every file of the image that is there must be covered by the statement, and what the statement covers must be there; the
sidecar alone may be left behind, as nothing is judged by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from driftd.core import dsse, manifesttext, statement
from driftd.core.dsse import Envelope, Signature
from driftd.core.errors import BadInput
from driftd.core.manifest import Manifest
from driftd.core.seal import NotVouchedForError, Seal
from driftd.core.wording import trust as wording
from driftd.edges.documents import names
from driftd.edges.documents.files import digest, read, write
from driftd.edges.documents.names import SIZE_LIMIT, Files
from driftd.edges.documents.refusals import unwritten
from driftd.edges.documents.signkeys import PublicKey, SigningKey

_SIGN_AGAIN = "sign it again: driftd manifest sign FILE --key KEY"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signing wrote."""

    file: Path
    keys: tuple[str, ...]
    sequence: int
    subjects: Mapping[str, str]
    provisional: bool


def verify(files: Files, text: bytes, made: Manifest, keys: Sequence[PublicKey]) -> Seal:
    """The seal of ``made``, whose text is ``text``, by one of ``keys``. Raises NotVouchedForError with the reason.

    Of several signatures one by a trusted key is enough; one that claims to be a trusted key's and is not spoils all.
    """
    envelope = read_envelope(files.envelope)
    key = _trusted(envelope, keys, files.envelope)
    try:
        said = statement.decode(envelope.payload)
    except BadInput as error:
        raise _no(files, str(error)) from None
    if said.image != made.image:
        raise _no(files, wording.other_image(said.image, made.image))
    there = _subjects(files, made.image, text)
    for name, file in files.signed(made.image).items():
        if name in there and name not in said.subjects:
            raise _no(files, wording.beside(file.name))
        if name in there and there[name] != said.subjects[name]:
            raise _no(files, wording.not_signed(file.name))
        if name in said.subjects and name not in there and file != files.sidecar:
            raise _no(files, wording.missing(file.name))
    if unknown := said.subjects.keys() - files.signed(made.image).keys():
        raise _no(files, f"it speaks for {min(unknown)!r}, which this driftd does not know")
    if said.root != made.root.hex():
        raise _no(files, "it was signed for another tree")
    return Seal(
        key=key.id,
        sequence=said.sequence,
        signed_at=said.signed_at,
        subjects=said.subjects,
        statement=hashlib.sha256(envelope.payload).hexdigest(),
        provisional=said.provisional,
    )


def read_envelope(file: Path) -> Envelope:
    """The envelope in ``file``. Raises NotVouchedForError, or BadInput when there is no file to be read."""
    try:
        data = read(file, dsse.SIZE_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", _SIGN_AGAIN) from None
    try:
        return dsse.decode(data)
    except BadInput as error:
        raise NotVouchedForError(wording.wrongly_signed(str(file), str(error)), error.hint) from None


def sign(
    files: Files,
    keys: Sequence[SigningKey],
    *,
    now: datetime,
    generator: str,
    sequence: int = 0,
    vouched: bool = False,
) -> Signed:
    """Sign the manifest and everything beside it with all of ``keys``, over whatever envelope is there.

    ``sequence`` 0 takes the next one: one more than that of the envelope that is there, else 1. Raises BadInput.
    """
    text, made = _manifest(files.manifest)
    last = _last(files.envelope)
    chosen = sequence or last + 1
    if chosen <= last:
        said = f"{files.envelope} has the sequence {last} already, so {chosen} would be taken for an old one"
        raise BadInput(said, f"leave out --sequence, or say {last + 1} or more")
    subjects = _subjects(files, made.image, text)
    payload = statement.encode(
        made, subjects, sequence=chosen, now=now, generator=generator, vouched=vouched
    )  # fmt: skip
    return _put(files.envelope, payload, keys, ())


def add_signatures(files: Files, keys: Sequence[SigningKey]) -> Signed:
    """Sign what the envelope holds already once more, with other keys: the statement and its sequence stay.

    Raises BadInput when the files are not what that statement says.
    """
    text, made = _manifest(files.manifest)
    envelope = read_envelope(files.envelope)
    said = statement.decode(envelope.payload)
    if said.image != made.image or _subjects(files, made.image, text) != dict(said.subjects):
        raise BadInput(f"{files.envelope} is about other files than those beside it", _SIGN_AGAIN)
    return _put(files.envelope, envelope.payload, keys, envelope.signatures)


def _put(file: Path, payload: bytes, keys: Sequence[SigningKey], others: Sequence[Signature]) -> Signed:
    made = {one.key: one for one in others}
    made |= {key.id: Signature(key.id, key.sign(dsse.pae(payload))) for key in keys}
    if len(made) > dsse.SIGNATURES_LIMIT:
        raise BadInput(f"{file} would have more than {dsse.SIGNATURES_LIMIT} signatures", "sign it anew, without --add")
    data = dsse.encode(Envelope(payload, tuple(made[key] for key in sorted(made))))
    try:
        write(file, data)
    except OSError as error:
        raise unwritten(file, error) from None
    said = statement.decode(payload)
    return Signed(file, tuple(sorted(made)), said.sequence, said.subjects, said.provisional)


def _last(file: Path) -> int:
    """The sequence of the envelope that is there. It is not verified: a higher one than need be does no harm."""
    if not file.exists():
        return 0
    return statement.decode(read_envelope(file).payload).sequence


def _trusted(envelope: Envelope, keys: Sequence[PublicKey], file: Path) -> PublicKey:
    known = {key.id: key for key in keys}
    data = dsse.pae(envelope.payload)
    good = [known[one.key] for one in envelope.signatures if one.key in known]
    for one in envelope.signatures:
        if one.key in known and not known[one.key].verifies(one.signature, data):
            raise NotVouchedForError(wording.wrongly_signed(str(file), wording.bad_signature(one.key)), _SIGN_AGAIN)
    if not good:
        said = wording.wrongly_signed(str(file), wording.no_trusted_key(len(envelope.signatures)))
        hint = f"trusted are {', '.join(wording.short(key.id) for key in keys)}; {wording.KEYS_HINT}"
        raise NotVouchedForError(said, hint)
    return good[0]


def _no(files: Files, why: str) -> NotVouchedForError:
    return NotVouchedForError(wording.wrongly_signed(str(files.envelope), why), _SIGN_AGAIN)


def _manifest(file: Path) -> tuple[bytes, Manifest]:
    try:
        text = read(file, SIZE_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", "bake one with: driftd bake") from None
    try:
        return text, manifesttext.decode(text)
    except BadInput as error:
        raise BadInput(f"{file}: {error}", error.hint) from None


def _subjects(files: Files, image: str, text: bytes) -> dict[str, str]:
    """SHA-256 of each file that is there, by the name that a signature gives it. Raises BadInput."""
    found = {names.file_name(image, names.MANIFEST): hashlib.sha256(text).hexdigest()}
    for name, file in files.signed(image).items():
        try:
            made = None if name in found else digest(file)
        except OSError as error:
            raise NotVouchedForError(f"{file}: cannot be read: {error.strerror}") from None
        if made is not None:
            found[name] = made
    return found
