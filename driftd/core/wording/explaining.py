"""Sentences of an explanation: what differs, since when, because of what, and what comes next."""

from __future__ import annotations

COSMETIC = "only comments, white space or an order without meaning differ"
