"""Gauges of what the store knows, read from it at each scrape; the rest of this process's metrics are in metrics.py.

A scrape is answered soon whatever becomes of the store: where it does not answer, that is what the scrape says.
"""

from driftd.edges.gauges.collector import StoreCollector, scraped_within

__all__ = ["StoreCollector", "scraped_within"]
