"""Writes the IAM policies, for people and for Terraform: ``PYTHONPATH=tests/house python -m aws_page``."""

from __future__ import annotations

import json
from pathlib import Path

from driftd.edges.providers.aws.permissions import MODES, policy

ROOT = Path(__file__).parents[2]
PLACES = (ROOT / "docs" / "aws", ROOT / "deploy" / "terraform" / "aws" / "policies")


def pages() -> dict[Path, str]:
    """Each file and what it holds."""
    return {place / f"{mode}.json": json.dumps(policy(mode), indent=2) + "\n" for place in PLACES for mode in MODES}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
