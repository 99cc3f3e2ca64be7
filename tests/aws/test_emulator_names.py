"""Route 53: https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html"""

import pytest
from emulated import refused

NAME = "db.example.org."


class Zone:
    """A hosted zone, by plain boto3."""

    def __init__(self, emulator, name="example.org"):
        self.dns = emulator.client("route53")
        made = self.dns.create_hosted_zone(Name=name, CallerReference="once")
        self.id = made["HostedZone"]["Id"].removeprefix("/hostedzone/")

    def change(self, *changes):
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": said} for action, said in changes]}
        return self.dns.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch=batch)["ChangeInfo"]

    def records(self):
        found = self.dns.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return [one for one in found if one["Type"] not in {"NS", "SOA"}]

    def values(self):
        return {
            (one["Name"], one.get("SetIdentifier", "")): [each["Value"] for each in one.get("ResourceRecords", ())]
            for one in self.records()
        }


def a(value, name=NAME, ttl=60, **more):
    return {"Name": name, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": value}], **more}


@pytest.fixture
def zone(emulator):
    return Zone(emulator)


def test_a_record_is_replaced_by_a_delete_and_a_create_in_one_batch(zone):
    zone.change(("CREATE", a("10.0.0.1")))
    zone.change(("DELETE", a("10.0.0.1")), ("CREATE", a("10.0.0.2")))
    zone.change(("DELETE", a("10.0.0.2")), ("CREATE", a("10.0.0.1")))
    assert zone.values() == {(NAME, ""): ["10.0.0.1"]}


@pytest.mark.parametrize("said", [a("10.0.0.9"), a("10.0.0.1", ttl=61), a("10.0.0.1", name="other.example.org.")])
def test_a_delete_that_does_not_match_fails_with_all_of_its_batch(zone, said):
    """ "To delete a resource record set, you must specify all the same values"; and "either all or none"."""
    zone.change(("CREATE", a("10.0.0.1")))
    with refused("InvalidChangeBatch"):
        zone.change(("CREATE", a("10.0.0.3", name="new.example.org.")), ("DELETE", said), ("CREATE", a("10.0.0.2")))
    assert zone.values() == {(NAME, ""): ["10.0.0.1"]}


def test_what_is_there_cannot_be_created_and_an_upsert_replaces_it(zone):
    zone.change(("CREATE", a("10.0.0.1")))
    with refused("InvalidChangeBatch"):
        zone.change(("CREATE", a("10.0.0.1")))
    zone.change(("UPSERT", a("10.0.0.2")))
    assert zone.values() == {(NAME, ""): ["10.0.0.2"]}


def test_weighted_records_are_told_apart_by_their_identifiers(zone):
    """API_ResourceRecordSet.html, SetIdentifier."""
    one, two = ({"SetIdentifier": name, "Weight": 10} for name in ("one", "two"))
    zone.change(("CREATE", a("10.0.0.1", **one)), ("CREATE", a("10.0.0.2", **two)))
    with refused("InvalidChangeBatch"):
        zone.change(("DELETE", a("10.0.0.2", ttl=61, **two)))
    with refused("InvalidChangeBatch"):
        zone.change(("DELETE", {**a("10.0.0.2", **two), "Weight": 11}))
    zone.change(("DELETE", a("10.0.0.2", **two)), ("CREATE", a("10.0.0.3", **two)))
    assert zone.values() == {(NAME, "one"): ["10.0.0.1"], (NAME, "two"): ["10.0.0.3"]}
    with refused("InvalidChangeBatch"):
        zone.change(("CREATE", a("10.0.0.4")))


def test_another_zones_name_and_a_zone_that_is_not_there(zone):
    with refused("InvalidChangeBatch"):
        zone.change(("CREATE", a("10.0.0.1", name="db.example.com.")))
    with refused("InvalidChangeBatch"):
        zone.change(("CREATE", a("10.0.0.1", name="dbexample.org.")))
    with refused("NoSuchHostedZone"):
        zone.dns.list_resource_record_sets(HostedZoneId="Z0")


def test_a_change_is_pending_until_it_is_everywhere(emulator, zone):
    """API_GetChange.html: PENDING, then INSYNC; each change has an id of its own."""
    emulator.knobs(dns_sync_s=60)
    first, second = zone.change(("UPSERT", a("10.0.0.1"))), zone.change(("UPSERT", a("10.0.0.2")))
    assert first["Id"] != second["Id"]
    assert (first["Status"], zone.values()) == ("PENDING", {(NAME, ""): ["10.0.0.2"]})
    status = lambda one: zone.dns.get_change(Id=one["Id"])["ChangeInfo"]["Status"]  # noqa: E731  # said twice below
    assert status(first) == "PENDING"
    emulator.forward(61)
    assert (status(first), status(second)) == ("INSYNC", "INSYNC")
    with refused("NoSuchChange"):
        zone.dns.get_change(Id="C0NOTHING")


def test_interfaces_are_found_by_any_of_their_addresses(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html"""
    (one,) = cloud.run()
    address = cloud.instance(one)["PrivateIpAddress"]
    asked = [{"Name": "addresses.private-ip-address", "Values": [address, "10.9.9.9"]}]
    (found,) = cloud.ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    assert (found["PrivateIpAddress"], found["Attachment"]["InstanceId"]) == (address, one)
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.state(one)
    assert len(cloud.ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]) == 1
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.state(one)
    assert cloud.ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"] == []
