"""Writes docs/aws/*.json, the IAM policies: ``PYTHONPATH=tests/house python -m aws_page``."""

from __future__ import annotations

import json
from pathlib import Path

from driftd.edges.providers.aws.permissions import MODES, policy

DOCS = Path(__file__).parents[2] / "docs" / "aws"


def pages() -> dict[Path, str]:
    """Each file and what it holds."""
    return {DOCS / f"{mode}.json": json.dumps(policy(mode), indent=2) + "\n" for mode in MODES}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
