"""What CloudTrail writes down of one API call: who, from where, what was asked, what was answered.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Any

from botocore.model import OperationNotFoundError
from botocore.parsers import ResponseParserError, create_parser
from common import identity, now, zulu
from managed import body
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
READS = re.compile(
    r"(Describe|Get|List|Lookup|Head|Search|Simulate|BatchGet|Preview|Select|Check|Verify|"
    r"AssumeRole|Encrypt|Decrypt|Sign|GenerateDataKey)"
)
# In no history: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
DATA = {
    "ebs": {"ListSnapshotBlocks", "ListChangedBlocks", "GetSnapshotBlock", "PutSnapshotBlock"},
    "sqs": {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
    },
    "events": {"PutEvents"},
    "logs": {"PutLogEvents"},
}
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html (global service events)
GLOBAL = {"iam", "route53", "cloudfront"}
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-with-cloudtrail.html: how EC2's lists are written
LISTS = {
    "InstanceIds": ("instancesSet", "instanceId"),
    "Resources": ("resourcesSet", "resourceId"),
    "ImageIds": ("imagesSet", "imageId"),
    "VolumeIds": ("volumeSet", "volumeId"),
    "SnapshotIds": ("snapshotSet", "snapshotId"),
    "SecurityGroupIds": ("groupSet", "groupId"),
    "Tags": ("tagSet", ""),
    "Filters": ("filterSet", ""),
    "TagSpecifications": ("tagSpecificationSet", ""),
}
LAUNCHED = ("imageId", "minCount", "maxCount", "keyName")
RESOURCES = {
    "i": "Instance",
    "vol": "Volume",
    "snap": "Snapshot",
    "ami": "Ami",
    "sg": "SecurityGroup",
    "eni": "NetworkInterface",
    "subnet": "Subnet",
    "vpc": "VPC",
    "eipalloc": "EIP",
    "lt": "LaunchTemplate",
}
_KINDS = "|".join(RESOURCES)
_ID = re.compile(rf'"((?:{_KINDS})-[0-9a-f]{{8,17}})"')


def reads(operation: str) -> bool:
    """Whether a call changes nothing."""
    return READS.match(operation) is not None


def kept(service: str, operation: str) -> bool:
    """Whether CloudTrail's history has such calls: management events and no data events."""
    return operation not in DATA.get(service, ())


def _small(name: str) -> str:
    """A name as CloudTrail has it: its first letter is small, and only that."""
    return name[:1].lower() + name[1:]


def _scalar(value: Any) -> Any:
    """One value; bytes are never written down."""
    if isinstance(value, dt.datetime):
        return zulu(value)
    return HIDDEN if isinstance(value, bytes) or hasattr(value, "read") else value


def plain(shape: Any, value: Any) -> Any:
    """What a JSON or query service was asked or answered; what its model calls sensitive is hidden."""
    if shape is not None and shape.metadata.get("sensitive"):
        return HIDDEN
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        if members or shape is None or shape.type_name == "structure":
            return {_small(name): plain(members.get(name), one) for name, one in value.items() if one is not None}
        return {name: plain(shape.value, one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(getattr(shape, "member", None), one) for one in value]
    return _scalar(value)


def _ec2_list(name: str, shape: Any, value: list[Any], named: Callable[[str, Any], str]) -> tuple[str, Any]:
    """A list as EC2's records have it: what it holds stands under "items", and ids each under their own name."""
    known, single = LISTS.get(name, (named(name, shape), ""))
    items = [{single: one} if single else ec2(shape.member, one, named) for one in value]
    return known, {"items": items} if items else {}


def ec2(shape: Any, value: Any, named: Callable[[str, Any], str]) -> Any:
    """What EC2 was asked or answered, in its records' own way."""
    if shape.type_name != "structure" or not isinstance(value, dict):
        return int(value.timestamp() * 1000) if isinstance(value, dt.datetime) else _scalar(value)
    found: dict[str, Any] = {}
    for name, one in value.items():
        member = shape.members.get(name)
        if member is None or one is None:
            continue
        if name == "UserData":
            found["userData"] = "<sensitiveDataRemoved>"
        elif isinstance(one, list):
            key, listed = _ec2_list(name, member, one, named)
            found[key] = listed
        else:
            found[named(name, member)] = ec2(member, one, named)
    return found


def _asked_name(name: str, _shape: Any) -> str:
    return _small(name)


def _answered_name(name: str, shape: Any) -> str:
    return str(shape.serialization.get("name") or _small(name))


def _request(response: Any, model: Any, operation: Any) -> dict[str, Any]:
    """What was asked, by the service's model."""
    request = response.normalized_request
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
    try:
        asked: dict[str, Any] = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data,
                "url_path": request.path,
                "url_params": response.uri_match,
            }
        )
    except RequestParserError:
        return {}
    return asked


def _written(service: str, operation: Any, asked: dict[str, Any]) -> Any:
    """RequestParameters of the record."""
    if service == "ec2-instance-connect" and "SSHPublicKey" in asked:
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-audit.html (CloudTrail)
        names = {"InstanceId": "instanceId", "InstanceOSUser": "osUser", "SerialPort": "serialPort"}
        said = {names[name]: value for name, value in asked.items() if name in names}
        return {**said, "SSHKey": {"publicKey": asked["SSHPublicKey"]}}
    if service != "ec2":
        return plain(operation.input_shape, asked) or None
    said = ec2(operation.input_shape, asked, _asked_name)
    if operation.name == "RunInstances":
        said["instancesSet"] = {"items": [{name: said.pop(name) for name in LAUNCHED if name in said}]}
    return said


def _parsed(model: Any, operation: Any, answer: tuple[int, Any, Any]) -> dict[str, Any]:
    """What was answered, as a client reads it."""
    status, headers, said = answer
    raw = said if isinstance(said, bytes) else str(said).encode()
    parser = create_parser(model.metadata["protocol"])
    lowered = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    try:
        found: dict[str, Any] = parser.parse(
            {"status_code": status, "headers": lowered, "body": raw}, operation.output_shape
        )
    except (ResponseParserError, ValueError, KeyError, TypeError):
        return {}
    found.pop("ResponseMetadata", None)
    return found


def _answered(service: str, operation: Any, said: dict[str, Any], request_id: str) -> Any:
    """ResponseElements of the record: null for calls that only read, and where nothing was answered."""
    if reads(operation.name) or service == "ec2-instance-connect":
        return None
    if service != "ec2":
        return plain(operation.output_shape, said) or None
    shape = operation.output_shape
    found = ec2(shape, said, _answered_name) if shape is not None else {"_return": True}
    return {"requestId": request_id, **found}


def _tokens_hidden(elements: Any) -> Any:
    """A session's token opens the session: it is in no record."""
    if isinstance(elements, dict) and "tokenValue" in elements:
        elements["tokenValue"] = "Value hidden due to security reasons."
    return elements


def record(response: Any, action: str, answer: tuple[int, Any, Any]) -> dict[str, Any]:
    """The record of one call that moto has answered."""
    service = response.boto3_service_name
    model = get_service_model(service)
    request, request_id = response.normalized_request, str(uuid.uuid4())
    written: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": identity(response),
        "eventTime": zulu(now()),
        "eventSource": f"{model.signing_name}.amazonaws.com",
        "eventName": action,
        "awsRegion": "us-east-1" if service in GLOBAL else response.region,
        "sourceIPAddress": request.headers.get("X-Forwarded-For") or request.remote_addr or "127.0.0.1",
        "userAgent": request.headers.get("User-Agent", ""),
    }
    try:
        operation = model.operation_model(action)
    except OperationNotFoundError:  # what no SDK knows: OpenTunnel
        elements = None
        parameters: Any = plain(None, body(response)) or None
        error: dict[str, Any] = {}
    else:
        parameters = _written(service, operation, _request(response, model, operation))
        said = _parsed(model, operation, answer)
        error = said.get("Error", {}) if answer[0] >= 400 else {}
        elements = None if answer[0] >= 400 else _answered(service, operation, said, request_id)
    if answer[0] >= 400:
        side = ("Client." if answer[0] < 500 else "Server.") if service == "ec2" else ""
        written["errorCode"] = side + str(error.get("Code", answer[0]))
        written["errorMessage"] = str(error.get("Message", ""))
    return written | {
        "requestParameters": parameters,
        "responseElements": _tokens_hidden(elements),
        "requestID": request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": reads(action),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": response.current_account,
        "eventCategory": "Management",
    }


def resources(text: str, source: str) -> list[dict[str, str]]:
    """What a record is about, as the history's Resources name it: EC2's own are known by their ids."""
    if source != "ec2.amazonaws.com":
        return []
    ids = dict.fromkeys(_ID.findall(text))
    return [{"ResourceType": f"AWS::EC2::{RESOURCES[one.partition('-')[0]]}", "ResourceName": one} for one in ids]
