"""What the daemon serves, joined together."""

import time
import urllib.request
from contextlib import contextmanager
from datetime import timedelta

from servers import free_port

from driftd.edges.store import SqlStore, open_store
from driftd.settings import load
from driftd.wiring.house import WiredHouse
from driftd.wiring.served import Served


def test_a_scrape_waits_for_the_store_as_long_as_it_says_and_no_longer(tmp_path, monkeypatch):
    port, config, reads = free_port(), tmp_path / "driftd.yaml", SqlStore.read
    config.write_text(f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    open_store(f"sqlite:///{tmp_path}/driftd.db").close()

    @contextmanager
    def slow(store):
        time.sleep(1.5)  # the slowness itself
        with reads(store) as tx:
            yield tx

    def scrape(waits: str) -> str:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": waits}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.read().decode()

    monkeypatch.setattr(SqlStore, "read", slow)
    served = Served(WiredHouse(load(config), config), timedelta(seconds=30), 1)
    try:
        assert "\ndriftd_store_up 0.0\n" in scrape("0.5")
        assert "\ndriftd_store_up 1.0\n" in scrape("60")
    finally:
        served.close()
