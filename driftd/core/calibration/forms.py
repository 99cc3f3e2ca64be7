"""The forms that calibration looks for in contents that differ: the templates' texts, the narrowest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
FORMS: Mapping[str, bytes] = {name: TEMPLATES[name].pattern for name in _ORDER}
# These allow comments and blank lines, so that many a file has them that is none: they are looked for by name.
_NAMED: Mapping[str, bytes] = {"hosts": b"hosts", "iscsi-name": b"initiatorname", "resolv-conf": b"resolv"}


def candidates(path: bytes, size: int | None) -> Iterator[str]:
    """The forms that a file of this name and size (None: not known) may have."""
    name = path.rpartition(b"/")[2]
    for form in _ORDER:
        template = TEMPLATES[form]
        fits = size is None or template.least <= size <= template.most
        if fits and _NAMED.get(form, b"") in name:
            yield form


def keeps(rule: Rule, sample: Sample, difference: Difference) -> str:
    """Why a difference of a sample does not keep to a rule that speaks of it; "" when it does."""
    if rule.expect is None:
        return ""
    if rule.expect is Expect.TEMPLATE and rule.template not in sample.forms.get(difference.subject, frozenset()):
        return f"its content has not the form {rule.template}"
    return unmet(rule.expect, difference, rule.template)
