"""Addresses and security groups: Elastic IPs move, interfaces are in one place, and the matter hears of both."""

from __future__ import annotations

from typing import Any

from launches import check_address
from matter import Busy
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidSecurityGroupNotFoundError
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses
from moto.ec2.responses.instances import InstanceResponse
from world import World, method


def _first(name: str) -> property:
    """What the first interface has; nothing where there is none, as with an ended instance."""
    return property(lambda self: getattr(self.nics.get(0), name, None))


def _private_name(self: Instance) -> str:
    if not self.private_ip:
        return ""
    middle = "ec2" if self.region_name == "us-east-1" else f"{self.region_name}.compute"
    return f"ip-{self.private_ip.replace('.', '-')}.{middle}.internal"


def _groups_of(backend: Any, wanted: list[str]) -> list[Any]:
    found = {one: backend.get_security_group_from_id(one) for one in wanted}
    for name, group in found.items():
        if group is None:
            raise InvalidSecurityGroupNotFoundError(name)
    return list(found.values())


class Addresses:
    """What the patches of this file have in common: the world, and moto's own ways."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.associate_plain = ElasticAddressBackend.associate_address
        self.disassociate_plain = ElasticAddressBackend.disassociate_address
        self.attach_plain = NetworkInterfaceBackend.attach_network_interface
        self.delete_plain = NetworkInterfaceBackend.delete_network_interface
        self.create_plain = NetworkInterfaceBackend.create_network_interface
        self.change_plain = NetworkInterfaceBackend.modify_network_interface_attribute

    def associate(self, backend: Any, **said: Any) -> Any:
        """An address leaves whom it was with before.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html
        """
        given = [said["allocation_id"]] if said.get("allocation_id") else None
        (address,) = backend.describe_addresses(given, [said["address"]] if not given else None)
        instance = said.get("instance") or (said["eni"].instance if said.get("eni") else None)
        if instance is not None and instance.state not in {"pending", "running", "stopping", "stopped"}:
            raise EC2ClientError(
                "InvalidInstanceID", f"The pending instance '{instance.id}' is not in a valid state for this operation."
            )
        if instance is not None and instance.state == "pending":
            raise EC2ClientError(
                "IncorrectInstanceState", f"The pending instance '{instance.id}' is not in a valid state."
            )
        before = address.eni
        made = self.associate_plain(backend, **said)
        if before is not None and before is not made.eni:
            before.public_ip = None
            before.check_auto_public_ip()
        if made.eni is not None and made.eni.instance is not None:
            made.instance = made.eni.instance
            self.world.ask("address", id=made.instance.id, address=made.public_ip)
        return made

    def disassociate(self, backend: Any, address: str | None = None, association_id: str | None = None) -> None:
        """The address is nobody's."""
        found = [
            one.public_ip
            for one in backend.addresses
            if one.instance and (one.public_ip == address or (association_id and one.association_id == association_id))
        ]
        self.disassociate_plain(backend, address=address, association_id=association_id)
        for one in found:
            self.world.ask("address", id=None, address=one)

    def attach(self, backend: Any, eni_id: str, instance_id: str, device_index: int) -> Any:
        """An interface is at one instance, in its zone, at an index of its own.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html
        """
        eni, instance = backend.get_network_interface(eni_id), backend.get_instance(instance_id)
        if eni.instance is not None:
            raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{eni_id}] in use.")
        if int(device_index) in instance.nics:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Instance '{instance_id}' already has an interface attached at device index '{device_index}'.",
            )
        if eni.availability_zone != instance.availability_zone:
            raise EC2ClientError(
                "InvalidParameterCombination",
                "You may not attach a network interface to an instance if they are not in the same availability zone",
            )
        return self.attach_plain(backend, eni_id, instance_id, device_index)

    def delete(self, backend: Any, eni_id: str) -> None:
        """Only what is attached to nothing can go; with its instance, an interface goes quietly."""
        eni = backend.get_network_interface(eni_id)
        if eni.instance is not None and not self.world.is_quiet:
            raise EC2ClientError("InvalidNetworkInterface.InUse", f"The network interface '{eni_id}' is in use.")
        self.delete_plain(backend, eni_id)
        for one in eni.private_ip_addresses:
            eni.subnet.del_subnet_ip(one["PrivateIpAddress"])

    def create(self, backend: Any, subnet: Any, private_ip_address: Any, *said: Any, **more: Any) -> Any:
        """An address that somebody has is refused; an instance's own was looked at when it was launched."""
        wanted = private_ip_address[0] if isinstance(private_ip_address, list) else private_ip_address
        if not self.world.is_quiet:
            check_address(backend, getattr(subnet, "id", subnet), wanted)
        return self.create_plain(backend, subnet, private_ip_address, *said, **more)

    def regroup(self, backend: Any, instance_id: str, wanted: list[str]) -> Instance:
        """The groups of an instance are those of its first interface.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
        """
        instance, groups = backend.get_instance(instance_id), _groups_of(backend, wanted)
        self._tell(instance, groups)
        instance.security_groups = groups
        if 0 in instance.nics:
            instance.nics[0]._group_set = groups
        return instance

    def change(self, backend: Any, eni_id: str, group_ids: list[str], *said: Any) -> None:
        """Groups given to an instance's first interface are the instance's."""
        eni, groups = backend.get_network_interface(eni_id), _groups_of(backend, group_ids)
        first = eni.instance is not None and eni.instance.nics.get(0) is eni
        if groups and first:
            self._tell(eni.instance, groups)
        self.change_plain(backend, eni_id, group_ids, *said)
        if groups and first:
            eni.instance.security_groups = groups

    def _tell(self, instance: Instance, groups: list[Any]) -> None:
        try:
            self.world.ask(
                "groups", id=instance.id, groups=[one.id for one in groups], names=[one.name for one in groups]
            )
        except Busy as busy:
            raise EC2ClientError("IncorrectState", str(busy)) from busy


def _associate_address(self: ElasticIPAddresses, plain: Any) -> ActionResult:
    """Moving an address is what happens unless AllowReassociation=false forbids it."""
    self.params.setdefault("AllowReassociation", True)
    return plain(self)


def patch(world: World) -> None:
    """Elastic IPs, interfaces and groups."""
    ours, associate = Addresses(world), ElasticIPAddresses.associate_address
    for name, owned in (
        ("private_ip", "private_ip_address"),
        ("private_ip_address", "private_ip_address"),
        ("public_ip", "public_ip"),
        ("public_ip_address", "public_ip"),
    ):
        setattr(Instance, name, _first(owned))
    Instance.private_dns_name = property(_private_name)
    NetworkInterface.group_set = property(lambda self: self._group_set)
    ElasticIPAddresses.associate_address = lambda self: _associate_address(self, associate)
    ElasticAddressBackend.associate_address = method(ours.associate)
    ElasticAddressBackend.disassociate_address = method(ours.disassociate)
    NetworkInterfaceBackend.attach_network_interface = method(ours.attach)
    NetworkInterfaceBackend.delete_network_interface = method(ours.delete)
    NetworkInterfaceBackend.create_network_interface = method(ours.create)
    NetworkInterfaceBackend.modify_network_interface_attribute = method(ours.change)
    InstanceBackend.modify_instance_security_groups = method(ours.regroup)
    plain = InstanceResponse._security_grp_instance_attribute_handler
    # moto takes every attribute that it does not know for an order to take all groups away.
    InstanceResponse._security_grp_instance_attribute_handler = lambda self: (
        bool(self._get_param("Groups")) and plain(self)
    )
