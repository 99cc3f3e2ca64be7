"""RunInstances: images, templates and addresses that must be there, one launch for one token, and a real server behind.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import base64
import contextlib
import copy
import ipaddress
from typing import Any

from matter import Busy, MatterAway
from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidAMIIdError,
    InvalidLaunchTemplateIdNotFound,
    InvalidLaunchTemplateNameNotFoundWithNameError,
    InvalidLaunchTemplateVersionNotFound,
    InvalidSecurityGroupNotFoundError,
    MalformedAMIIdError,
    UnvailableAMIIdError,
)
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import parse_user_data
from world import World, method

ROOT_GIB = 8


def check_image(backend: Any, image_id: str | None) -> None:
    """InvalidAMIID.Malformed, .NotFound or .Unavailable, as it is with this image."""
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if not image_id.startswith("ami-"):
        raise MalformedAMIIdError([image_id])
    if image_id in backend.deleted_amis or (image_id in backend.amis and backend.amis[image_id].state != "available"):
        raise UnvailableAMIIdError(image_id)
    if image_id not in backend.amis:
        raise InvalidAMIIdError(image_id)


def check_address(backend: Any, subnet_id: str | None, address: str | None) -> None:
    """A private address that somebody has is refused, as is one that is not the subnet's."""
    if not address or not subnet_id:
        return
    subnet = backend.get_subnet(subnet_id)
    if ipaddress.ip_address(address) not in ipaddress.ip_network(subnet.cidr_block):
        raise EC2ClientError(
            "InvalidParameterValue", f"Address {address} does not fall within the subnet's address range"
        )
    owned = any(
        one.subnet.id == subnet_id and address in {each["PrivateIpAddress"] for each in one.private_ip_addresses}
        for one in backend.enis.values()
    )
    if owned or address in subnet._subnet_ips:
        raise EC2ClientError("InvalidIPAddress.InUse", f"Address {address} is in use.")


def find_version(backend: Any, said: dict[str, Any]) -> LaunchTemplateVersion:
    """The version of a launch template that a request names."""
    name, ident = said.get("LaunchTemplateName"), said.get("LaunchTemplateId")
    if name and ident:
        raise EC2ClientError("InvalidParameterCombination", "Give a launch template's id or its name, not both.")
    if not ident:
        ident = backend.launch_template_name_to_ids.get(name)
        if ident is None:
            raise InvalidLaunchTemplateNameNotFoundWithNameError(str(name))
    if ident not in backend.launch_templates:
        raise InvalidLaunchTemplateIdNotFound(ident)
    return backend.launch_templates[ident].get_version(said.get("Version") or "$Default")


def _get_version(template: LaunchTemplate, number: Any) -> LaunchTemplateVersion:
    word = str(number).lower()
    if word == "$latest":
        return template.latest_version()
    wanted = template.default_version_number if word == "$default" else number
    for one in template.versions:
        if str(one.number) == str(wanted):
            return one
    raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=number)


def _plain(found: Any) -> Any:
    return found.original_dict() if hasattr(found, "original_dict") else found


def _merge(params: Any, version: LaunchTemplateVersion) -> None:
    """What the request does not say, its template says."""
    data = _plain(version.data)
    for name, value in data.items():
        if name not in {"TagSpecifications", "SecurityGroups"} and params.get(name) is None and value is not None:
            params[name] = str(value) if name == "UserData" else copy.deepcopy(value)
    if not params.get("SecurityGroupIds") and data.get("SecurityGroups") and not params.get("SecurityGroups"):
        params["SecurityGroups"] = data["SecurityGroups"]


def _with_root(backend: Any, params: Any) -> None:
    """An image's root volume is there though no mapping names it, and goes with its instance unless that is said.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-storage.html
    """
    image = backend.amis[params["ImageId"]]
    root = image.root_device_name or "/dev/sda1"
    mappings = [_plain(one) for one in params.get("BlockDeviceMappings") or []]
    named = next((one for one in mappings if one.get("DeviceName") == root), None)
    if named is None:
        mappings.insert(0, named := {"DeviceName": root})
    ebs = named.setdefault("Ebs", {})
    ebs.setdefault("DeleteOnTermination", True)
    if not ebs.get("SnapshotId"):
        ebs.setdefault("VolumeSize", ROOT_GIB)
    params["BlockDeviceMappings"] = mappings


def _check_interface(params: Any, eni: Any) -> None:
    if eni.instance is not None:
        raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{eni.id}] in use.")
    if not params.get("Placement"):
        params["Placement"] = {"AvailabilityZone": eni.availability_zone}


def _checked(response: InstanceResponse) -> None:
    backend, params = response.ec2_backend, response.params
    if template := params.get("LaunchTemplate"):
        _merge(params, find_version(backend, template))
    check_image(backend, params.get("ImageId"))
    subnet_id = params.get("SubnetId")
    if subnet_id:
        backend.get_subnet(subnet_id)
    check_address(backend, subnet_id, params.get("PrivateIpAddress"))
    for nic in params.get("NetworkInterfaces") or []:
        check_address(backend, nic.get("SubnetId"), nic.get("PrivateIpAddress"))
        if ident := nic.get("NetworkInterfaceId"):
            _check_interface(params, backend.get_network_interface(ident))
    for group_id in params.get("SecurityGroupIds") or []:
        if backend.get_security_group_from_id(group_id) is None:
            raise InvalidSecurityGroupNotFoundError(group_id)
    if key := params.get("KeyName"):
        backend.describe_key_pairs(key_names=[key])
    _with_root(backend, params)
    params["MinCount"] = params.get("MaxCount") or params.get("MinCount") or 1


def _interfaces(said: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """What a launch says of each interface, by its index."""
    return {int(one.get("DeviceIndex") or 0): one for one in said.get("nics") or ()}


def _readdress(instance: Instance, address: str) -> None:
    nic = instance.nics[0]
    for one in nic.private_ip_addresses:
        if one.get("Primary"):
            one["PrivateIpAddress"] = address
    nic.private_ip_address = address


class Launches:
    """Launches, each with its server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.plain = InstanceBackend.run_instances

    def run(self, backend: Any, image_id: str, count: int, user_data: Any, names: list[str], **said: Any) -> Any:
        """The records, then the servers; where a server fails there are no records either."""
        check_image(backend, image_id)
        there, tags = set(backend.enis), (said.get("tags") or {}).get("network-interface", {})
        with self.world.quiet():
            made = self.plain(backend, image_id, count, user_data, names, **said)
        kept = {index for index, one in _interfaces(said).items() if one.get("DeleteOnTermination") is False}
        try:
            for one in made.instances:
                self._settle(one, kept)
                for nic in one.nics.values():
                    if nic.id not in there:  # "the resources that are created during instance launch"
                        nic.add_tags(tags)
                self._launch(one)
        except (MatterAway, Busy) as error:
            self._undo(backend, made)
            raise MatterAway(str(error)) from error
        return made

    def _settle(self, instance: Instance, kept: set[int]) -> None:
        instance.launched_at, instance.ended_at = self.world.now(), None
        self.world.lives.turn(instance, "pending", "running")
        for index, nic in instance.nics.items():
            if nic.description == "Primary network interface" and index not in kept:
                nic.delete_on_termination = True
        if 0 in instance.nics and not instance.security_groups:
            instance.security_groups = list(instance.nics[0]._group_set)

    def _launch(self, instance: Instance) -> None:
        said = instance.user_data
        found = self.world.ask(
            "launch",
            id=instance.id,
            image=instance.image_id,
            address=instance.private_ip,
            zone=instance.availability_zone,
            tags={one["key"]: one["value"] for one in instance.get_tags()},
            groups=[one.id for one in instance.security_groups],
            type=instance.instance_type,
            user_data=str(said) if said else base64.b64encode(b"").decode(),
        )
        if address := found.get("address"):  # the server has one already, and that is the one it is reached at
            _readdress(instance, str(address))
        for device, block in instance.get_block_device_mapping:
            if device != instance.root_device_name:
                self.world.ask("attach", volume=block.volume_id, id=instance.id, device=device, force=False)

    def _undo(self, backend: Any, made: Any) -> None:
        for one in made.instances:
            with contextlib.suppress(MatterAway, Busy):  # it is away: that is why we are here
                self.world.ask("terminate", id=one.id)
            with self.world.quiet():
                self.world.lives._end(one)
        backend.reservations.pop(made.id, None)


def _new_version(self: LaunchTemplate, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """Versions are numbered for ever, and user data is what every reader takes it for."""
    data = dict(_plain(data))
    data["UserData"] = parse_user_data(str(data["UserData"])) if data.get("UserData") else None
    number = self.versions[-1].number + 1 if self.versions else 1
    version = LaunchTemplateVersion(self, number, data, description)
    self.versions.append(version)
    return version


def _from_source(response: LaunchTemplates, plain: Any) -> ActionResult:
    """What the new version does not say, its source version says.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
    """
    params = response.params
    found = find_version(
        response.ec2_backend,
        {
            "LaunchTemplateId": params.get("LaunchTemplateId"),
            "LaunchTemplateName": params.get("LaunchTemplateName"),
            "Version": params.get("SourceVersion"),
        },
    )
    if params.get("SourceVersion"):
        said = {
            name: value for name, value in _plain(params.get("LaunchTemplateData") or {}).items() if value is not None
        }
        params["LaunchTemplateData"] = {**copy.deepcopy(_plain(found.data)), **said}
    return plain(response)


def patch(world: World) -> None:
    """RunInstances and the templates it reads."""
    launches, plain = Launches(world), InstanceResponse.run_instances

    def run_instances(response: InstanceResponse) -> ActionResult:
        _checked(response)
        return plain(response)

    new_version = LaunchTemplates.create_launch_template_version
    InstanceResponse.run_instances = world.tokens.once("RunInstances", run_instances)
    InstanceBackend.run_instances = method(launches.run)
    InstanceBackend._get_template_from_args = find_version
    LaunchTemplate.get_version = _get_version
    LaunchTemplate.create_version = _new_version
    LaunchTemplates.create_launch_template_version = lambda self: _from_source(self, new_version)
