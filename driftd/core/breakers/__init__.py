"""Circuit breakers: what stops all replacing in a scope, however well each single replacement would go.

``evaluate`` holds the facts of one moment against the rules C1 to C12 and says what changes; flows/trip.py applies it.
docs/breakers.md has the table of the rules, made from ``table.py``.
"""

from driftd.core.breakers.breaker import Breaker, Change, State

__all__ = ["Breaker", "Change", "State"]
