"""What an IAM policy must allow: the calls that this package can make, by what driftd is to do.

A test holds this table against the calls that stand in the code, and the documents in docs/aws/ against this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from driftd.edges.providers.aws.cloud import action_of
from driftd.edges.providers.aws.names import TAG_READ

# Asked by a daemon that only observes, too: it records what is behind a load balancer and what hangs on an instance.
READ = (
    ("autoscaling", "describe_auto_scaling_groups"),
    ("autoscaling", "describe_auto_scaling_instances"),
    ("autoscaling", "describe_instance_refreshes"),
    ("autoscaling", "describe_lifecycle_hooks"),
    ("autoscaling", "describe_scaling_activities"),
    ("cloudtrail", "lookup_events"),
    ("ec2", "describe_addresses"),
    ("ec2", "describe_images"),
    ("ec2", "describe_instance_attribute"),
    ("ec2", "describe_instances"),
    ("ec2", "describe_launch_template_versions"),
    ("ec2", "describe_network_interfaces"),
    ("ec2", "describe_security_groups"),
    ("ec2", "describe_snapshots"),
    ("ec2", "describe_subnets"),
    ("ec2", "describe_volumes"),
    ("ec2", "get_console_output"),
    ("elb", "describe_instance_health"),
    ("elb", "describe_load_balancer_attributes"),
    ("elbv2", "describe_target_groups"),
    ("elbv2", "describe_target_health"),
    ("route53", "get_change"),
    ("route53", "list_resource_record_sets"),
    ("ssm", "describe_sessions"),
    ("ssm", "list_command_invocations"),
)
# To change something.
CHANGE = (
    ("autoscaling", "attach_instances"),
    ("autoscaling", "complete_lifecycle_action"),
    ("autoscaling", "enter_standby"),
    ("autoscaling", "exit_standby"),
    ("autoscaling", "record_lifecycle_action_heartbeat"),
    ("autoscaling", "terminate_instance_in_auto_scaling_group"),
    ("ec2", "associate_address"),
    ("ec2", "attach_network_interface"),
    ("ec2", "attach_volume"),
    ("ec2", "create_security_group"),
    ("ec2", "create_snapshot"),
    ("ec2", "create_tags"),
    ("ec2", "delete_snapshot"),
    ("ec2", "delete_tags"),
    ("ec2", "detach_network_interface"),
    ("ec2", "detach_volume"),
    ("ec2", "disassociate_address"),
    ("ec2", "modify_instance_attribute"),
    ("ec2", "modify_network_interface_attribute"),
    ("ec2", "revoke_security_group_egress"),
    ("ec2", "run_instances"),
    ("ec2", "start_instances"),
    ("ec2", "stop_instances"),
    ("ec2", "terminate_instances"),
    ("elb", "deregister_instances_from_load_balancer"),
    ("elb", "register_instances_with_load_balancer"),
    ("elbv2", "deregister_targets"),
    ("elbv2", "register_targets"),
    ("route53", "change_resource_record_sets"),
)
# What cannot be tried without doing it, IAM is asked about: `driftd doctor`, for groups in which driftd replaces.
CHECK = (
    ("iam", "get_role"),
    ("iam", "simulate_principal_policy"),
    ("sts", "get_caller_identity"),
)
# To look by Run Command, beside either of the two: asked for commands, told of them, and what comes through the bucket.
COMMAND = (("ssm", "send_command"),)
COMMANDS = (("ssm", "cancel_command"), ("ssm", "get_command_invocation"), ("ssm", "list_commands"))
BUCKET = (("s3", "delete_object"), ("s3", "get_object"))
# To look over SSH by keys that are pushed for it, beside either of the two.
PUSH = (("ec2-instance-connect", "send_ssh_public_key"),)
# To be told by a queue who was let in, beside either of the two.
QUEUE = (("sqs", "delete_message"), ("sqs", "receive_message"))
# To read disks from outside, beside either: a snapshot is taken, read by block, compared with its image's, and deleted.
BLOCKS = (("ebs", "get_snapshot_block"), ("ebs", "list_changed_blocks"), ("ebs", "list_snapshot_blocks"))
IMAGE = (("ec2", "describe_images"),)
SNAPSHOT = (("ec2", "create_snapshot"), ("ec2", "create_tags"))
DELETE = (("ec2", "delete_snapshot"),)
MODES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "observe": READ,
    "enforce": (*READ, *CHANGE, *CHECK),
    "look-by-ssm": (*COMMAND, *COMMANDS, *BUCKET),
    "look-by-instance-connect": PUSH,
    "hear-by-sqs": QUEUE,
    "out-of-band": (*BLOCKS, *IMAGE, *SNAPSHOT, *DELETE),
}
# Who may send any command anywhere is root everywhere; BUCKET and PREFIX are the group's own.
_DOCUMENT = ("arn:aws:ssm:*::document/AWS-RunShellScript", "arn:aws:ec2:*:*:instance/*")
_OBJECTS = "arn:aws:s3:::BUCKET/PREFIX/*"
# Whoever may push a key for any user is that user; OSUSER is the group's own.
_INSTANCES = "arn:aws:ec2:*:*:instance/*"
OS_USER = "ec2:osuser"
_SNAPSHOTS = "arn:aws:ec2:*::snapshot/*"
CREATE_ACTION = "ec2:CreateAction"
READ_TAG = f"aws:ResourceTag/{TAG_READ}"


def policy(mode: str) -> dict[str, Any]:
    """The policy document of a mode. A launch hands an instance its profile's role, which IAM wants permitted, too."""
    if mode == "look-by-ssm":
        parts = (("Send", COMMAND, [*_DOCUMENT]), ("Commands", COMMANDS, "*"), ("Answers", BUCKET, _OBJECTS))
        return _document([_statement(*part) for part in parts])
    if mode == "look-by-instance-connect":
        condition = {"Condition": {"StringEquals": {OS_USER: "OSUSER"}}}
        return _document([{**_statement("Push", PUSH, _INSTANCES), **condition}])
    if mode == "hear-by-sqs":
        return _document([_statement("Hear", QUEUE, "QUEUE_ARN")])
    if mode == "out-of-band":
        return _out_of_band()
    statements = [_statement(mode.title(), MODES[mode], "*")]
    if mode == "enforce":
        statements.append(
            {
                "Sid": "DriftdProfiles",
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
            }
        )
    return _document(statements)


def _out_of_band() -> dict[str, Any]:
    """Snapshots may be made of any volume, tagged as they are made, and deleted where they are such."""
    made = _statement("Tag", SNAPSHOT[1:], _SNAPSHOTS) | {
        "Condition": {"StringEquals": {CREATE_ACTION: "CreateSnapshot"}}
    }
    gone = _statement("Delete", DELETE, _SNAPSHOTS) | {"Condition": {"StringLike": {READ_TAG: "*"}}}
    plain = (("Blocks", BLOCKS, _SNAPSHOTS), ("Image", IMAGE, "*"), ("Snapshot", SNAPSHOT[:1], "*"))
    return _document([*(_statement(*part) for part in plain), made, gone])


def _statement(name: str, calls: Iterable[tuple[str, str]], resource: str | list[str]) -> dict[str, Any]:
    actions = sorted(action_of(*one) for one in calls)
    return {"Sid": "Driftd" + name, "Effect": "Allow", "Action": actions, "Resource": resource}


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
