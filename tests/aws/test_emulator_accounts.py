"""Accounts: a key that AssumeRole gave is of the role's account, whatever account the emulator was started with."""

import boto3
from emulated import ACCOUNT, REGION, refused


def assumed(emulator, account, name="operator"):
    """Credentials as STS gives them.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    role = f"arn:aws:iam::{account}:role/{name}"
    given = emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def client(emulator, service, credentials):
    return boto3.client(service, region_name=REGION, endpoint_url=emulator.url, **credentials)


def test_the_caller_of_an_assumed_role_is_of_its_account(emulator):
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    other = assumed(emulator, "111111111111")
    found = client(emulator, "sts", other).get_caller_identity()
    assert (found["Account"], found["Arn"]) == ("111111111111", "arn:aws:sts::111111111111:assumed-role/operator/test")
    assert emulator.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_what_is_in_one_account_is_not_in_another_one_in_the_same_region(emulator, cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resources.html"""
    (mine,) = cloud.run()
    ec2 = client(emulator, "ec2", assumed(emulator, "111111111111"))
    assert ec2.describe_instances()["Reservations"] == []
    with refused("InvalidInstanceID.NotFound"):
        ec2.describe_instances(InstanceIds=[mine])
    with refused("InvalidInstanceID.NotFound"):
        ec2.terminate_instances(InstanceIds=[mine])
    assert cloud.state(mine) == "running"


def test_a_trail_is_its_accounts(emulator, cloud):
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html"""
    cloud.run()
    trail = client(emulator, "cloudtrail", assumed(emulator, "111111111111"))
    asked = [{"AttributeKey": "EventName", "AttributeValue": "RunInstances"}]
    assert trail.lookup_events(LookupAttributes=asked)["Events"] == []
    assert len(emulator.client("cloudtrail").lookup_events(LookupAttributes=asked)["Events"]) == 1
