"""The provider contract's hooks for ``aws``, against the emulator of AWS with real servers behind it.

With instances that driftd alone launches, or with those of an Auto Scaling group; behind target groups or a classic
load balancer.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager

import accounts
import pytest
from served import Served
from servers import wait_until

from driftd.edges.providers.aws import trail
from driftd.edges.providers.aws.provider import create


class Aws(Served):
    """``scaled``: the group is an Auto Scaling group. ``classic``: it is behind a classic load balancer."""

    scaled = False
    classic = False

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, golden_image, image_cache, login_key):
        with accounts.opened(golden_image, image_cache, login_key, volumes=2, classic=cls.classic) as made:
            if cls.scaled:
                made.scaled()
            yield made

    @pytest.fixture
    def provider(self, account, monkeypatch):
        account.credentials(monkeypatch)
        monkeypatch.setattr(trail, "FRESH_S", 0.5)  # half a minute in production
        type(self).image = account.image
        type(self).account_ = account
        type(self).deployment_ = account.behind.deployment
        made = create(account.options())
        yield made
        made.close()

    def pause(self, provider):
        time.sleep(0.2)  # each question costs the emulator and boto3 some hundredths

    def server(self, instance):
        return self.account_.behind.server(instance.id)

    def mark_on_disk(self, provider, instance, disk):
        """As e2fsprogs read it."""
        done = subprocess.run(["debugfs", "-R", "cat /var/lib/mark", disk], check=True, capture_output=True)
        return done.stdout == b"here\n"

    @contextmanager
    def somebody_let_in(self, provider, instance):
        ssm = self.account_.client("ssm")
        session = ssm.start_session(Target=instance.id)["SessionId"]
        yield
        ssm.terminate_session(SessionId=session)


class Scaling(Aws):
    """The group is an Auto Scaling group: who is put into service joins it."""

    scaled = True

    @pytest.fixture(autouse=True)
    def _nothing_is_left_of_it(self, account):
        """No member, nobody that stands by, and as many desired as before."""
        yield
        wait_until(lambda: (account.members(), account.desired()) == ({}, 0), "an empty group", 60)

    @contextmanager
    def scaled_out(self):
        """By somebody else, who has a hook on launches: a member that waits, until the block ends."""
        account = self.account_
        hook = {"AutoScalingGroupName": "web", "LifecycleHookName": "warm-up"}
        account.asg.put_lifecycle_hook(
            **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING", HeartbeatTimeout=300
        )
        account.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
        self.wait_for("Pending:Wait")
        yield
        self.go_on()
        account.asg.delete_lifecycle_hook(**hook)
        account.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)

    def wait_for(self, state):
        """A member in this state."""
        wait_until(lambda: state in self.account_.members().values(), f"a member that is {state}", 60)

    def go_on(self):
        """Who waits for the hook goes on."""
        for name, state in self.account_.members().items():
            if state == "Pending:Wait":
                self.account_.asg.complete_lifecycle_action(
                    AutoScalingGroupName="web",
                    LifecycleHookName="warm-up",
                    InstanceId=name,
                    LifecycleActionResult="CONTINUE",
                )
        self.wait_for("InService")

    @contextmanager
    def operation_of_others(self, provider):
        with self.scaled_out():
            yield

    def test_an_instance_refresh_of_others_is_foreign_while_it_lasts(self, provider):
        with self.scaled_out():
            self.go_on()
            self.wait(provider, "quiet", lambda: provider.foreign("web") == "")
            self.account_.asg.start_instance_refresh(
                AutoScalingGroupName="web", Preferences={"MinHealthyPercentage": 0}
            )
            self.wait_for("Pending:Wait")
            assert "instance refresh" in provider.foreign("web")
        self.wait(provider, "quiet", lambda: provider.foreign("web") == "")

    def test_what_we_do_in_the_group_is_no_foreign_operation(self, provider, launch, traffic):
        one = launch()
        self.enrol(provider, traffic, one)
        assert provider.foreign("web") == ""
        traffic.drain("web", one.id)
        assert provider.foreign("web") == ""
        provider.compute.terminate(one.id)
        assert self.account_.members()[one.id].startswith("Terminating")
        assert provider.foreign("web") == ""
