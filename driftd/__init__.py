"""driftd makes immutable infrastructure provable: see drift, judge it, replace the server, prove each step."""

__version__ = "0.1.0"
