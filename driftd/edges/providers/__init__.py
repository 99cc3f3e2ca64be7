"""Providers of instances, found by name among the entry points of group ``driftd.providers``: ours and strangers'."""
