"""Writes policies and the rule's pattern, for docs and Terraform: ``PYTHONPATH=tests/house:. python -m aws_page``."""

from __future__ import annotations

import json
from pathlib import Path

from driftd.edges.providers.aws.messages import changes, pattern
from driftd.edges.providers.aws.permissions import MODES, policy

ROOT = Path(__file__).parents[2]
PLACES = (ROOT / "docs" / "aws", ROOT / "deploy" / "terraform" / "aws" / "policies")


def pages() -> dict[Path, str]:
    """Each file and what it holds."""
    made = {mode: policy(mode) for mode in MODES} | {"events": pattern(), "states": changes()}
    return {place / f"{name}.json": json.dumps(one, indent=2) + "\n" for place in PLACES for name, one in made.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
