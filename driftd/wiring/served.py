"""What the daemon shows over HTTP, joined together: its metrics and its health."""

from __future__ import annotations

from datetime import timedelta

from driftd import __version__
from driftd.edges.gauges import scraped_within
from driftd.edges.listener import Listener
from driftd.edges.metrics import Metrics
from driftd.edges.store import open_store
from driftd.wiring.breaking import limits_of
from driftd.wiring.health import Health
from driftd.wiring.house import WiredHouse

# How long a scrape waits for a store that is locked, where it has that long (docs/metrics.md).
SCRAPE_PATIENCE_S = 3.0


class Served:
    """Metrics and health of one daemon, and the listener that shows them where the settings name an address.

    ``lease`` is how long the controller's lease lasts from each renewal, ``epoch`` that of ours. Raises DriftdError.
    """

    def __init__(self, house: WiredHouse, lease: timedelta, epoch: int) -> None:
        self._scraped = open_store(house.store_url, read_only=True, patience_s=SCRAPE_PATIENCE_S)
        self._listener: Listener | None = None
        self.metrics = Metrics(
            self._scraped,
            house.now,
            __version__,
            groups={name: group.every for name, group in house.groups.items()},
            limits=limits_of(house.settings),
            epoch=epoch,
        )
        self.health = Health(self._scraped, lease)
        listen = house.settings.metrics.listen
        try:
            if listen:
                health = self.health
                self._listener = Listener(
                    listen, self.metrics.registry, health.alive, health.ready, within=scraped_within
                )
        except BaseException:
            self._scraped.close()
            raise

    def close(self) -> None:
        """Stop serving."""
        if self._listener is not None:
            self._listener.close()
        self._scraped.close()
