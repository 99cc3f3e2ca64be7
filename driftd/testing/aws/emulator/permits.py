"""Permissions, which moto does not look at unless all of IAM is written down: what the knob ``denied`` names is denied,
IAM's simulator says the same, and a dry run of EC2 says whether the call would be permitted.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html (DryRun)
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from typing import Any

import answers
from common import KNOBS, ApiError, bind
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.responses import IamResponse
from world import World, method

PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "monitoring": "cloudwatch"}
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(user|group|role)/.+")


def _spoken(response: BaseResponse) -> str:
    kind = response.headers.get("Content-Type") or ""
    return answers.protocol(str(response.service_name), response.headers.get("X-Amz-Target"), kind)


def _told(answer: answers.Answer) -> Any:
    return answer.status, {"Content-Type": answer.kind, "status": str(answer.status)}, answer.body.decode()


def _is_dry(response: BaseResponse) -> bool:
    """A launch is left to itself: its dry run looks at more than permissions."""
    if response.service_name != "ec2" or response._get_action() == "RunInstances":
        return False
    return str(response._get_param("DryRun")).lower() == "true"


def simulate(self: IamResponse) -> Any:
    """SimulatePrincipalPolicy, by the knob alone: no policy is read."""
    source = str(self._get_param("PolicySourceArn"))
    if not _PRINCIPAL.fullmatch(source):
        raise ApiError("InvalidInput", f"{source} is no ARN of a user, a group or a role")
    resource = (self._get_param("ResourceArns") or ["*"])[0]
    rows = [
        {
            "EvalActionName": name,
            "EvalResourceName": resource,
            "EvalDecision": "implicitDeny" if name in KNOBS["denied"] else "allowed",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for name in self._get_param("ActionNames")
    ]
    return ActionResult({"EvaluationResults": rows, "IsTruncated": False})


def patch(world: World) -> None:
    """Before anything else is looked at, as AWS does."""
    bind(world)
    plain = BaseResponse.call_action

    def call_action(self: BaseResponse) -> Any:
        service = str(self.service_name)
        name = f"{PREFIXES.get(service, service)}:{self._get_action()}"
        if name in KNOBS["denied"]:
            return _told(answers.fault("denied", _spoken(self)))
        if _is_dry(self):
            why = "Request would have succeeded, but DryRun flag is set."
            return _told(answers.error("ec2", 412, "DryRunOperation", why))
        return plain(self)

    BaseResponse.call_action = call_action
    IamResponse.simulate_principal_policy = method(simulate)
