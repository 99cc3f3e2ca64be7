"""The forms that calibration looks for in contents that differ: the templates' texts, the narrowest first."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.calibration.samples import Sample
from driftd.core.difference import Difference
from driftd.core.expect import Expect, unmet
from driftd.core.rules import Rule
from driftd.core.templates import TEMPLATES

# What has several of these forms has the first: a moment is a number, a number may be a host's name.
_ORDER = (
    "hex32",
    "uuid",
    "nvme-nqn",
    "iscsi-name",
    "ssh-private-key",
    "ssh-public-key",
    "date",
    "timestamp",
    "number",
    "address",
    "url",
    "hosts",
    "resolv-conf",
    "hostname",
)
PATTERNS: Mapping[str, bytes] = {name: TEMPLATES[name].pattern for name in _ORDER}


def keeps(rule: Rule, sample: Sample, difference: Difference) -> str:
    """Why a difference of a sample does not keep to a rule that speaks of it; "" when it does."""
    if rule.expect is None:
        return ""
    if rule.expect is Expect.TEMPLATE and rule.template not in sample.forms.get(difference.subject, frozenset()):
        return f"its content has not the form {rule.template}"
    return unmet(rule.expect, difference, rule.template)
