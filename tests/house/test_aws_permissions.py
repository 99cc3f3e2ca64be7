"""The IAM policies name the calls that the aws provider can make: each of them, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session
from aws_page import pages

from driftd.edges.providers.aws import permissions
from driftd.edges.providers.aws.cloud import action_of

AWS = Path(permissions.__file__).parent
CALLS = {"ask", "pages", "do"}
BESIDE = ("look-by-ssm", "look-by-instance-connect", "hear-by-sqs")


def calls() -> Iterator[tuple[str, str, str]]:
    """How, of which service, and what: of every call in the package that goes to AWS."""
    for path in AWS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
                if ast.unparse(node.func.value) != "self._cloud":
                    continue
                service, operation = node.args[:2]
                assert isinstance(service, ast.Constant), f"{path}:{node.lineno}: a service's name is a literal"
                assert isinstance(operation, ast.Constant), f"{path}:{node.lineno}: an operation's name is a literal"
                yield node.func.attr, service.value, operation.value


def test_each_call_is_in_the_policy_and_nothing_else_is() -> None:
    found = {(service, operation) for _, service, operation in calls()}
    assert found == set().union(*permissions.MODES.values())
    apart = [{*permissions.MODES[mode]} for mode in ("enforce", *BESIDE)]
    assert len(set().union(*apart)) == sum(len(one) for one in apart), "each right stands in one of them"


def test_what_changes_something_is_only_in_enforce() -> None:
    changing = {(service, operation) for how, service, operation in calls() if how == "do"}
    assert changing - {one for mode in BESIDE for one in permissions.MODES[mode]} == set(permissions.CHANGE)
    assert not changing & set(permissions.MODES["observe"])


def test_every_operation_is_one_of_awss_own() -> None:
    session = botocore.session.get_session()
    for service, operation in sorted(set().union(*permissions.MODES.values())):
        known = session.get_service_model(service).operation_names
        assert action_of(service, operation).partition(":")[2] in known


def test_the_documents_are_as_the_table_says() -> None:
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, "write it anew: tests/house/aws_page.py says how"
