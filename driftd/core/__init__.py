"""The core decides: pure functions and values. No clock, no disk, no network, no randomness.

It may import the standard library, small value libraries and ``driftd.probe.wire``, the format that both ends speak.
"""
