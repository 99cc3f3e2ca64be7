"""The look that costs what changed: what the last one left, what to ask next, and what both amount to."""
