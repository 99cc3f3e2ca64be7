"""A pristine instance on an ordinary day that looks like trouble: nobody cries wolf."""

from __future__ import annotations

import threading
import time

import pytest
from evading import baked, suspect

from driftd.core.findings import Verdict

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

# What logrotate does with Debian's settings, and with those that keep dates.
ROTATE = """
mv /var/log/auth.log /var/log/auth.log.1
mv /var/log/syslog /var/log/syslog-20250131
cp -p /var/log/wtmp /var/log/wtmp.1
: >/var/log/wtmp
kill -HUP $(cat /run/rsyslogd.pid)
while ! [ -e /var/log/auth.log ]; do logger -p auth.info rotated; sleep 0.1; done
"""


@pytest.fixture(scope="module")
def server(golden_image, image_cache, login_key):
    with suspect(golden_image, image_cache, login_key, baked(golden_image)) as found:
        yield found


def quiet(server) -> None:
    look = server.look()
    assert look.judgement.verdict is Verdict.EXPLAINED, look.judgement.reason
    assert look.others == ()


def test_looks_on_each_others_heels(server):
    for _ in range(5):
        quiet(server)


def test_two_lookers_at_once(server):
    looks = []
    began = threading.Barrier(2)

    def one():
        began.wait()
        looks.append(server.look())

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [one.judgement.verdict for one in looks] == [Verdict.EXPLAINED] * 2, [one.others for one in looks]
    quiet(server)


def test_logs_are_rotated_and_the_log_daemon_starts_again(server):
    server.inside(ROTATE)
    quiet(server)
    server.inside("pkill rsyslogd; while pgrep rsyslogd; do sleep 0.1; done; rsyslogd")
    server.inside("while ! [ -S /dev/log ]; do sleep 0.1; done")
    quiet(server)
    server.inside("gzip -f /var/log/auth.log.1 /var/log/syslog-20250131")
    quiet(server)


def test_a_stop_and_a_start(server):
    compute = server.deployment.provider.compute
    time.sleep(3)
    for _ in range(2):
        compute.stop(server.server.id)
        compute.start(server.server.id)
        server.server = compute.describe(server.server.id)
        server.deployment.ready(server.server)
        quiet(server)


def test_a_slow_look(server):
    server.inside("truncate -s 4G /var/cache/large")
    began = time.monotonic()
    quiet(server)
    assert time.monotonic() - began > 2, "it was one"
    quiet(server)
    server.inside("rm /var/cache/large")
