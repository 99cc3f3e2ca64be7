"""KMS signatures as AWS documents them: a digest is signed as it is, and a signature that is not one is an error.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html
"""

from __future__ import annotations

from typing import Any

from common import ApiError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey, RSAPrivateKey
from world import World

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
RAW_BYTES = 4096


class Digest(bytes):
    """A message that somebody hashed already (MessageType DIGEST)."""


def _how(message: bytes, algorithm: str) -> tuple[Any, ...]:
    """What to sign and verify a message with."""
    kind = HASHES[algorithm[-3:]]()
    if not isinstance(message, Digest) and len(message) > RAW_BYTES:
        raise ApiError("ValidationException", f"A message has at most {RAW_BYTES} bytes; send its digest.")
    if isinstance(message, Digest) and len(message) != kind.digest_size:
        raise ApiError("ValidationException", "Digest is invalid length for algorithm.")
    hashed = Prehashed(kind) if isinstance(message, Digest) else kind
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(hashed),)
    if "PKCS1" in algorithm:
        return padding.PKCS1v15(), hashed
    return padding.PSS(mgf=padding.MGF1(kind), salt_length=kind.digest_size), hashed


def sign(self: Any, message: bytes, algorithm: str) -> bytes:
    """In the place of moto's, which hashes whatever it is given."""
    signature: bytes = self.private_key.sign(message, *_how(message, algorithm))
    return signature


def verify(self: Any, message: bytes, signature: bytes, algorithm: str) -> bool:
    """True, or KMSInvalidSignatureException."""
    try:
        self.private_key.public_key().verify(signature, message, *_how(message, algorithm))
    except InvalidSignature:
        raise ApiError("KMSInvalidSignatureException", "") from None
    return True


def patch(_world: World) -> None:
    """Both kinds of keys, and the one place where a message is told from a digest."""
    plain = KmsResponse._get_param

    def get_param(self: Any, name: str, *said: Any, **more: Any) -> Any:
        value = plain(self, name, *said, **more)
        digest = name == "Message" and isinstance(value, bytes) and plain(self, "MessageType") == "DIGEST"
        return Digest(value) if digest else value

    KmsResponse._get_param = get_param
    for kind in (RSAPrivateKey, ECDSAPrivateKey):
        kind.sign, kind.verify = sign, verify
