"""A fleet in simulation: the real controller and store, a simulated cloud, clock and network, and much that goes wrong.

A seed decides everything, so that a run can be had again. What must always be true is read from the cloud's own log
and tables (truth.py), never from driftd's store.
"""
