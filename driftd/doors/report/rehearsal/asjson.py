"""A rehearsal as JSON, schema ``driftd.rehearsal/1``. Times are seconds, shares are parts of 1."""

from __future__ import annotations

import json

from driftd.core.rehearsal import Rehearsed
from driftd.core.wording import rehearsing as said

SCHEMA = "driftd.rehearsal/1"


def as_json(found: Rehearsed) -> str:
    """All of it."""
    values = {
        "schema": SCHEMA,
        "held": found.held,
        "seeds": found.seeds,
        "wanted": found.wanted,
        "notes": list(found.notes),
        "invariants": [
            {"name": row.rule, "sentence": row.sentence, "tested": row.tested, "violated": list(row.violated)}
            for row in found.rows
        ],
        "mishaps": dict(found.mishaps.most_common()),
        "outcomes": dict(found.outcomes),
        "replaced": {"count": len(found.replaced), "median_s": found.middle, "worst_s": found.worst},
        "spent": [
            {"on": what, "sentence": said.spent(what), "share": round(share, 4)} for what, share in found.shares()
        ],
        "simulated_s": round(found.lasted),
        "violations": [
            {
                "seed": one.seed,
                "again": said.again(found.again, one.seed),
                "broken": [{"invariant": broken.rule, "sentence": str(broken)} for broken in one.broken],
                "timeline": list(one.timeline),
            }
            for one in found.broken
        ],
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
