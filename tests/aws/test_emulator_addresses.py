"""Addresses, interfaces, security groups."""

from emulated import OTHER_ZONE, ZONE, refused


def interface(cloud, zone=ZONE, **said):
    return cloud.ec2.create_network_interface(SubnetId=cloud.subnets[zone], **said)["NetworkInterface"][
        "NetworkInterfaceId"
    ]


def elastic(cloud):
    found = cloud.ec2.allocate_address(Domain="vpc")
    return found["AllocationId"], found["PublicIp"]


def public(cloud, ident):
    return cloud.instance(ident)["NetworkInterfaces"][0].get("Association", {}).get("PublicIp")


def test_an_address_moves_unless_that_is_forbidden(matter, backed):
    """API_AssociateAddress.html: reassociation is automatic, unless AllowReassociation is false."""
    nic = {"DeviceIndex": 0, "SubnetId": backed.subnets[ZONE], "AssociatePublicIpAddress": False}
    one, other = backed.run(count=2, NetworkInterfaces=[nic])
    allocation, address = elastic(backed)
    assert public(backed, one) is None
    backed.ec2.associate_address(AllocationId=allocation, InstanceId=one)
    with refused("Resource.AlreadyAssociated"):
        backed.ec2.associate_address(AllocationId=allocation, InstanceId=other, AllowReassociation=False)
    backed.ec2.associate_address(AllocationId=allocation, InstanceId=other)
    assert (public(backed, one), public(backed, other)) == (None, address)
    backed.ec2.disassociate_address(PublicIp=address)
    assert [each["id"] for each in matter.said("address")] == [one, other, None]
    assert {each["address"] for each in matter.said("address")} == {address}


def test_an_address_leaves_an_instance_that_ends(cloud):
    (one,) = cloud.run()
    allocation, _ = elastic(cloud)
    cloud.state(one)
    cloud.ec2.associate_address(AllocationId=allocation, InstanceId=one)
    cloud.ec2.terminate_instances(InstanceIds=[one])
    (found,) = cloud.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert not found.get("InstanceId")


def test_an_interface_is_attached_once_in_its_zone_at_an_index_of_its_own(cloud):
    """errors-overview.html, InvalidNetworkInterface.InUse; API_AttachNetworkInterface.html"""
    one, other = cloud.run(count=2)
    first, second, afar = interface(cloud), interface(cloud), interface(cloud, OTHER_ZONE)
    cloud.ec2.attach_network_interface(NetworkInterfaceId=first, InstanceId=one, DeviceIndex=1)
    with refused("InvalidNetworkInterface.InUse"):
        cloud.ec2.attach_network_interface(NetworkInterfaceId=first, InstanceId=other, DeviceIndex=1)
    with refused("InvalidParameterValue"):
        cloud.ec2.attach_network_interface(NetworkInterfaceId=second, InstanceId=one, DeviceIndex=1)
    with refused("InvalidParameterCombination"):
        cloud.ec2.attach_network_interface(NetworkInterfaceId=afar, InstanceId=other, DeviceIndex=1)
    with refused("InvalidNetworkInterface.InUse"):
        cloud.ec2.delete_network_interface(NetworkInterfaceId=first)
    found = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[first])["NetworkInterfaces"][0]
    assert found["Attachment"]["InstanceId"] == one


def test_an_interface_outlives_its_instance_with_its_address(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html"""
    (one,), kept = cloud.run(), interface(cloud, PrivateIpAddress="172.31.0.99")
    cloud.ec2.attach_network_interface(NetworkInterfaceId=kept, InstanceId=one, DeviceIndex=1)
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.state(one)
    (found,) = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[kept])["NetworkInterfaces"]
    assert found["Status"] == "available"
    with refused("InvalidIPAddress.InUse"):
        cloud.run(PrivateIpAddress="172.31.0.99")
    assert len(cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1


def test_an_instance_can_be_launched_on_an_interface_of_its_own(cloud):
    kept = interface(cloud, OTHER_ZONE, PrivateIpAddress="172.31.16.98")
    (one,) = cloud.run(NetworkInterfaces=[{"NetworkInterfaceId": kept, "DeviceIndex": 0}])
    found = cloud.instance(one)
    assert (found["PrivateIpAddress"], found["Placement"]["AvailabilityZone"]) == ("172.31.16.98", OTHER_ZONE)
    with refused("InvalidNetworkInterface.InUse"):
        cloud.run(NetworkInterfaces=[{"NetworkInterfaceId": kept, "DeviceIndex": 0}])


def test_a_launch_tags_the_interfaces_that_it_makes_and_no_others(cloud):
    """API_RunInstances.html, TagSpecification.N: "the tags to apply to the resources that are created during instance
    launch". https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    kept = interface(cloud, ZONE)
    tags = [{"Key": "role", "Value": "web"}]
    said = [
        {"DeviceIndex": 0, "SubnetId": cloud.subnets[ZONE]},
        {"DeviceIndex": 1, "SubnetId": cloud.subnets[ZONE]},
        {"DeviceIndex": 2, "NetworkInterfaceId": kept},
    ]
    kinds = ("instance", "network-interface")
    (one,) = cloud.run(
        NetworkInterfaces=said, TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in kinds]
    )
    filters = [{"Name": "tag:role", "Values": ["web"]}]
    found = cloud.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    assert sorted(each["Attachment"]["DeviceIndex"] for each in found) == [0, 1]
    assert {each["Attachment"]["InstanceId"] for each in found} == {one}
    assert all(each["TagSet"] == tags for each in found)


def test_a_first_interface_outlives_its_instance_where_that_is_asked_for(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html"""
    said = {"DeviceIndex": 0, "SubnetId": cloud.subnets[ZONE]}
    (kept,) = cloud.run(NetworkInterfaces=[{**said, "DeleteOnTermination": False}])
    (plain,) = cloud.run(NetworkInterfaces=[said])
    first, other = (cloud.instance(one)["NetworkInterfaces"][0]["NetworkInterfaceId"] for one in (kept, plain))
    cloud.ec2.terminate_instances(InstanceIds=[kept, plain])
    cloud.state(kept)
    found = cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [(each["NetworkInterfaceId"], each["Status"]) for each in found] == [(first, "available")]
    assert other != first


def test_groups_are_replaced_and_not_added(matter, backed):
    """API_ModifyInstanceAttribute.html: replaces the security groups of the instance."""
    web, cut = (
        backed.ec2.create_security_group(GroupName=name, Description=name, VpcId=backed.vpc)["GroupId"]
        for name in ("web", "cut")
    )
    (one,) = backed.run(SecurityGroupIds=[web])
    backed.ec2.modify_instance_attribute(InstanceId=one, Groups=[cut])
    found = backed.instance(one)
    assert [each["GroupId"] for each in found["SecurityGroups"]] == [cut]
    assert [each["GroupId"] for each in found["NetworkInterfaces"][0]["Groups"]] == [cut]
    nic = found["NetworkInterfaces"][0]["NetworkInterfaceId"]
    backed.ec2.modify_network_interface_attribute(NetworkInterfaceId=nic, Groups=[web])
    assert [each["GroupId"] for each in backed.instance(one)["SecurityGroups"]] == [web]
    assert [each["groups"] for each in matter.said("groups")] == [[cut], [web]]
    with refused("InvalidGroup.NotFound"):
        backed.ec2.modify_instance_attribute(InstanceId=one, Groups=["sg-0123456789abcdef0"])
    assert [each["GroupId"] for each in backed.instance(one)["SecurityGroups"]] == [web]
