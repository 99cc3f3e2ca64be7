"""With what each call is tried, to see whether it would be permitted: on what a group has, and never so that something
is changed. The keys are those of ``permissions``; a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from driftd.edges.providers.aws.names import partition
from driftd.edges.providers.aws.permissions import (
    BLOCKS,
    BUCKET,
    CHANGE,
    COMMAND,
    COMMANDS,
    CREATE_ACTION,
    DELETE,
    IMAGE,
    OS_USER,
    PUSH,
    QUEUE,
    READ_TAG,
    SNAPSHOT,
)

Call = tuple[str, str]
Parameters = dict[str, Any]


class Question(NamedTuple):
    """What IAM is asked: whether some calls are permitted on ``resource``, an ARN, where conditions see ``context``."""

    resource: str
    calls: tuple[Call, ...]
    context: Mapping[str, str] = {}


TAG = [{"Key": "driftd:doctor", "Value": ""}]
# What changes something and knows no dry run, by service.
SCALING, BALANCING, CLASSIC, NAMING = (
    tuple(one for one in CHANGE if one[0] == service) for service in ("autoscaling", "elbv2", "elb", "route53")
)
NAMED: tuple[Call, ...] = (("route53", "get_change"),)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a group has to try calls on; "" where it has none.

    ``raw`` is one of its instances as EC2 tells of it, ``launch`` what a newcomer would be launched with. ``volume``,
    ``snapshot``, ``address`` and ``interface`` are of this deployment, the last two as EC2 tells of them. ``scaling``
    and ``classic`` are names: of the Auto Scaling group, of a classic load balancer. ``scaling_arn`` and
    ``target_group`` are ARNs, ``bucket`` is what looks by Run Command leave, as BUCKET/PREFIX/*, ``zone`` a hosted
    zone's id. ``pushed`` is the user that keys are pushed for, ``queue`` the ARN of the one that tells who came.
    ``disks`` are read from outside.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)
    launch: Parameters = field(default_factory=dict)
    volume: str = ""
    snapshot: str = ""
    address: Mapping[str, Any] = field(default_factory=dict)
    interface: Mapping[str, Any] = field(default_factory=dict)
    scaling: str = ""
    scaling_arn: str = ""
    bucket: str = ""
    pushed: str = ""
    queue: str = ""
    target_group: str = ""
    disks: bool = False
    classic: str = ""
    region: str = ""
    zone: str = ""

    @property
    def classic_arn(self) -> str:
        """Of the classic load balancer, whose account is the one that the instance's interfaces are in."""
        owners = [str(one["OwnerId"]) for one in self.raw.get("NetworkInterfaces", ()) if one.get("OwnerId")]
        if not (self.classic and owners):
            return ""
        return (
            f"arn:{partition(self.region)}:elasticloadbalancing:{self.region}:{owners[0]}:loadbalancer/{self.classic}"
        )

    @property
    def instance(self) -> str:
        """The instance's id."""
        return str(self.raw.get("InstanceId", ""))


def reading(subject: Subject) -> dict[Call, Parameters | None]:
    """Of each call that only asks; None where there is nothing to try it on."""
    behind = {"TargetGroupArn": subject.target_group} if subject.target_group else None
    member = {"AutoScalingGroupName": subject.scaling, "MaxRecords": 1} if subject.scaling else None
    instance = {"InstanceId": subject.instance} if subject.instance else None
    zone = {"HostedZoneId": subject.zone, "MaxItems": "1"} if subject.zone else None
    classic = {"LoadBalancerName": subject.classic} if subject.classic else None
    return {
        ("autoscaling", "describe_auto_scaling_groups"): {"MaxRecords": 1},
        ("autoscaling", "describe_auto_scaling_instances"): {"MaxRecords": 1},
        ("autoscaling", "describe_instance_refreshes"): member,
        ("autoscaling", "describe_lifecycle_hooks"): {"AutoScalingGroupName": subject.scaling} if member else None,
        ("autoscaling", "describe_scaling_activities"): member,
        ("cloudtrail", "lookup_events"): {"MaxResults": 1},
        ("ec2", "describe_addresses"): {},
        ("ec2", "describe_images"): {"Owners": ["self"], "MaxResults": 5},
        ("ec2", "describe_instance_attribute"): instance and {**instance, "Attribute": "disableApiTermination"},
        ("ec2", "describe_instances"): {},
        ("ec2", "describe_launch_template_versions"): {"Versions": ["$Default"]},
        ("ec2", "describe_network_interfaces"): {},
        ("ec2", "describe_security_groups"): {},
        ("ec2", "describe_snapshots"): {"OwnerIds": ["self"]},
        ("ec2", "describe_subnets"): {},
        ("ec2", "describe_volumes"): {},
        ("ec2", "get_console_output"): instance,
        ("elb", "describe_instance_health"): classic,
        ("elb", "describe_load_balancer_attributes"): classic,
        ("elbv2", "describe_target_groups"): {"PageSize": 1},
        ("elbv2", "describe_target_health"): behind,
        ("route53", "get_change"): None,  # of a change that was made: IAM is asked
        ("route53", "list_resource_record_sets"): zone,
        ("ssm", "describe_sessions"): {"State": "Active", "MaxResults": 1},
        ("ssm", "list_command_invocations"): {"MaxResults": 1},
    }


def changing(subject: Subject) -> dict[Call, Parameters | None]:
    """Of each call that changes something and knows a dry run; None where there is nothing to try it on. Left out are
    those for volumes and addresses where no slot owns one.
    """
    one = [subject.instance]
    tags = {"Resources": one, "Tags": TAG}
    return {
        ("ec2", "create_tags"): tags,
        ("ec2", "delete_snapshot"): {"SnapshotId": subject.snapshot} if subject.snapshot else None,
        ("ec2", "delete_tags"): tags,
        ("ec2", "run_instances"): subject.launch or None,
        ("ec2", "start_instances"): {"InstanceIds": one},
        ("ec2", "stop_instances"): {"InstanceIds": one},
        ("ec2", "terminate_instances"): {"InstanceIds": one},
        **_network(subject.raw),
        **_disks(subject),
        **_addresses(subject),
        **_interfaces(subject),
    }


def _network(raw: Mapping[str, Any]) -> dict[Call, Parameters | None]:
    """Quarantine."""
    groups = [each["GroupId"] for each in raw.get("SecurityGroups", ())]
    interfaces = [each["NetworkInterfaceId"] for each in raw.get("NetworkInterfaces", ())]
    made = {"GroupName": "driftd-doctor", "Description": "driftd doctor: a dry run", "VpcId": raw.get("VpcId")}
    out = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    moved = {"NetworkInterfaceId": interfaces[0], "Groups": groups} if interfaces and groups else None
    return {
        ("ec2", "create_security_group"): made if raw.get("VpcId") else None,
        ("ec2", "modify_network_interface_attribute"): moved,
        ("ec2", "revoke_security_group_egress"): {"GroupId": groups[0], "IpPermissions": out} if groups else None,
    }


def _disks(subject: Subject) -> dict[Call, Parameters | None]:
    """Evidence and data volumes."""
    found: dict[Call, Parameters | None] = {("ec2", "create_snapshot"): None}
    disks = [each for each in subject.raw.get("BlockDeviceMappings", ()) if "Ebs" in each]
    if disks:
        found["ec2", "create_snapshot"] = {"VolumeId": disks[0]["Ebs"]["VolumeId"]}
    if not subject.volume:
        return found
    own = {"VolumeId": subject.volume, "InstanceId": subject.instance}
    kept = {"DeviceName": disks[0]["DeviceName"], "Ebs": {"DeleteOnTermination": False}} if disks else None
    return found | {
        ("ec2", "attach_volume"): {**own, "Device": "/dev/sdp"},
        ("ec2", "detach_volume"): own,
        ("ec2", "modify_instance_attribute"): kept and {"InstanceId": subject.instance, "BlockDeviceMappings": [kept]},
    }


def _addresses(subject: Subject) -> dict[Call, Parameters | None]:
    address = subject.address
    if not address:
        return {}
    association = address.get("AssociationId")
    return {
        ("ec2", "associate_address"): {"AllocationId": address["AllocationId"], "InstanceId": subject.instance},
        ("ec2", "disassociate_address"): {"AssociationId": association} if association else None,
    }


def _interfaces(subject: Subject) -> dict[Call, Parameters | None]:
    interface = subject.interface
    if not interface:
        return {}
    attachment = interface.get("Attachment", {}).get("AttachmentId")
    onto = {"InstanceId": subject.instance, "DeviceIndex": 15}
    return {
        ("ec2", "attach_network_interface"): {"NetworkInterfaceId": interface["NetworkInterfaceId"], **onto},
        ("ec2", "detach_network_interface"): {"AttachmentId": attachment} if attachment else None,
    }


def looking(subject: Subject) -> list[Question]:
    """Of the calls that no group makes that is reached by a key of its own, whose sessions no queue tells of, and whose
    disks nobody reads from outside. What is permitted on some alone is asked of those, as the policies have it.
    """
    found = [Question(subject.queue, QUEUE)] if subject.queue else []
    if subject.pushed:
        found.append(Question(_arn(subject, "ec2", "*:instance/*"), PUSH, {OS_USER: subject.pushed}))
    if subject.bucket:
        document = _arn(subject, "ssm", ":document/AWS-RunShellScript")
        answers = f"arn:{partition(subject.region)}:s3:::{subject.bucket}"
        found += [Question(document, COMMAND), Question("*", COMMANDS), Question(answers, BUCKET)]
    if subject.disks:
        snapshots = _arn(subject, "ec2", ":snapshot/*")
        found += [
            Question(snapshots, BLOCKS),
            Question("*", (*IMAGE, *SNAPSHOT[:1])),
            Question(snapshots, SNAPSHOT[1:], {CREATE_ACTION: "CreateSnapshot"}),
            Question(snapshots, DELETE, {READ_TAG: subject.instance or "i-0"}),
        ]
    return found


def asked(subject: Subject) -> list[Question]:
    """Of the calls that change something and know no dry run."""
    them = (
        (subject.scaling_arn, SCALING),
        (subject.target_group, BALANCING),
        (subject.classic_arn, CLASSIC),
        (_global(subject, "hostedzone/"), NAMING),
        (_global(subject, "change/"), NAMED),
    )
    return [Question(arn, calls) for arn, calls in them if arn]


def _arn(subject: Subject, service: str, what: str) -> str:
    """``what`` begins with the account."""
    return f"arn:{partition(subject.region)}:{service}:{subject.region or '*'}:{what}"


def _global(subject: Subject, what: str) -> str:
    """The ARN of something of Route 53: the hosted zone, or any change; "" where there is no zone."""
    which = subject.zone if what.startswith("hosted") else "*"
    return f"arn:{partition(subject.region)}:route53:::{what}{which}" if subject.zone else ""
