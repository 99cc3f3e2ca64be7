"""EC2 Instance Connect: the public half of a key is pushed to an instance, which lets it in for a minute.

As the API's reference has it ("SendSSHPublicKey"). What asks for the key there is sshd's ``AuthorizedKeysCommand``,
which the package ``ec2-instance-connect`` brings; AWS does not say whether an instance has it.
"""

from __future__ import annotations

from driftd.core.facts import Admission
from driftd.edges.providers.aws.cloud import Cloud

BY = "EC2 Instance Connect"
OTHERWISE = (
    "see that the image has the package ec2-instance-connect, that `sshd -T` there names its AuthorizedKeysCommand, "
    "and that the user exists (docs/aws.md)"
)


class Pushing:
    """Any thread may ask."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def admission(self, instance_id: str, user: str, zone: str) -> Admission:
        """How a key is let in as ``user`` of an instance in ``zone``."""
        return Admission(BY, OTHERWISE, lambda key: self.push(instance_id, user, zone, key))

    def push(self, instance_id: str, user: str, zone: str, key: str) -> None:
        """Let ``key`` in. Raises ``ProviderError``.

        Sent again by botocore where it was throttled or its answer was lost: the same key twice lets in nobody else.
        """
        self._cloud.ask(
            "ec2-instance-connect",
            "send_ssh_public_key",
            InstanceId=instance_id,
            InstanceOSUser=user,
            SSHPublicKey=key,
            **({"AvailabilityZone": zone} if zone else {}),
        )
