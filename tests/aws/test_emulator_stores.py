"""Of S3, what moto has right and driftd leans on; of KMS, what moto has not: each test says what AWS documents."""

import datetime as dt
import hashlib

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_der_public_key
from standing import Standing


@pytest.fixture
def aws(matter, matter_process):
    return Standing(matter, matter_process[1])


def test_a_version_can_be_had_by_its_id_and_in_compliance_it_cannot_be_deleted(aws):
    s3 = aws.client("s3", region="us-east-1")
    s3.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    first = s3.put_object(Bucket="evidence", Key="e", Body=b"one", **locked)["VersionId"]
    s3.put_object(Bucket="evidence", Key="e", Body=b"two", **locked)
    assert s3.get_object(Bucket="evidence", Key="e")["Body"].read() == b"two"
    assert s3.get_object(Bucket="evidence", Key="e", VersionId=first)["Body"].read() == b"one"
    for more in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as caught:
            s3.delete_object(Bucket="evidence", Key="e", VersionId=first, **more)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    s3.delete_object(Bucket="evidence", Key="e")
    assert s3.get_object(Bucket="evidence", Key="e", VersionId=first)["Body"].read() == b"one"


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256"])
def test_a_digest_is_signed_as_it_is(aws, spec):
    kms = aws.client("kms")
    key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    message = b"evidence" * 1000
    digest = hashlib.sha256(message).digest()
    if spec == "ECC_NIST_P256":
        algorithm, how = "ECDSA_SHA_256", [ec.ECDSA(hashes.SHA256())]
    else:
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        algorithm, how = "RSASSA_PSS_SHA_256", [pss, hashes.SHA256()]
    asked = {"KeyId": key, "SigningAlgorithm": algorithm}
    signature = kms.sign(**asked, Message=digest, MessageType="DIGEST")["Signature"]
    public.verify(signature, message, *how)
    assert kms.verify(**asked, Message=digest, MessageType="DIGEST", Signature=signature)["SignatureValid"] is True
    small = kms.sign(**asked, Message=b"evidence", MessageType="RAW")["Signature"]
    public.verify(small, b"evidence", *how)
    for call, code in (
        (lambda: kms.verify(**asked, Message=b"x", Signature=small), "KMSInvalidSignatureException"),
        (lambda: kms.sign(**asked, Message=b"short", MessageType="DIGEST"), "ValidationException"),
        (lambda: kms.sign(**asked, Message=message, MessageType="RAW"), "ValidationException"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
