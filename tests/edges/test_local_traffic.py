"""HAProxy under load: servers come and go, and no request is lost; HAProxy itself may come and go."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time

import pytest
from servers import fetch, wait_until

from driftd.core.ports import TargetState

pytestmark = pytest.mark.servers


class Client(threading.Thread):
    """Asks again and again on one kept-alive connection, as a browser does."""

    def __init__(self, port, path="/"):
        super().__init__(daemon=True)
        self.port, self.path, self.done = port, path, threading.Event()
        self.answers, self.failures, self.connections = [], [], 0

    def run(self):
        wire = None
        while not self.done.is_set():
            try:
                if wire is None:
                    wire = socket.create_connection(("127.0.0.1", self.port), timeout=20)
                    self.connections += 1
                wire.sendall(f"GET {self.path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
                answer = wire.recv(65536).decode()
                match = re.search(r"^host (\S+)", answer, re.MULTILINE)
                if answer.startswith("HTTP/1.1 200") and match:
                    self.answers.append(match[1])
                else:
                    self.failures.append(answer[:80])
                    wire.close()
                    wire = None
            except OSError as error:
                self.failures.append(str(error))
                wire = None
        if wire is not None:
            wire.close()


def healthy(traffic):
    return {one.instance_id for one in traffic.targets("web") if one.state is TargetState.HEALTHY}


def retire(local, instance_id):
    traffic = local.provider.traffic
    traffic.drain("web", instance_id)
    wait_until(lambda: all(t.connections == 0 for t in traffic.targets("web") if t.instance_id == instance_id), "idle")
    traffic.deregister("web", instance_id)
    local.provider.compute.terminate(instance_id)


@pytest.fixture
def fleet(local_deployment):
    local_deployment.make(traffic=True)
    servers = [local_deployment.launch(f"web/{number}", wait=False) for number in range(3)]
    for server in servers:
        local_deployment.provider.traffic.register("web", server)
    wait_until(lambda: healthy(local_deployment.provider.traffic) == {one.id for one in servers}, "three healthy")
    return servers


@pytest.fixture
def load(local_deployment):
    clients = [Client(local_deployment.port) for _ in range(4)] + [Client(local_deployment.port, "/slow?s=0.7")]

    def judge():
        for client in clients:
            client.done.set()
        for client in clients:
            client.join(30)
        assert [failure for client in clients for failure in client.failures] == []
        return {answer for client in clients for answer in client.answers}

    yield clients, judge
    for client in clients:
        client.done.set()


def test_all_servers_are_replaced_under_load_and_no_request_fails(local_deployment, fleet, load):
    clients, judge = load
    for client in clients:
        client.start()
    traffic = local_deployment.provider.traffic
    newcomers = set()
    for old in fleet:
        newcomer = local_deployment.launch(old.slot, wait=False)
        traffic.register("web", newcomer)
        wait_until(lambda newcomer=newcomer: newcomer.id in healthy(traffic), "the newcomer")
        newcomers.add(newcomer.id)
        retire(local_deployment, old.id)
    assert healthy(traffic) == newcomers
    for client in clients:
        client.answers.clear()
    wait_until(lambda: sum(len(client.answers) for client in clients) > 50, "answers of the newcomers")
    assert judge() <= newcomers | {old.id for old in fleet}
    assert all(client.connections == 1 for client in clients), "nobody had to connect again"


def test_connections_tell_the_truth_of_long_requests(local_deployment, fleet):
    traffic = local_deployment.provider.traffic
    assert sum(one.connections for one in traffic.targets("web")) == 0
    wires = [socket.create_connection(("127.0.0.1", local_deployment.port)) for _ in range(6)]
    for wire in wires:
        wire.sendall(b"GET /slow?s=1.5 HTTP/1.1\r\nHost: test\r\n\r\n")
    wait_until(lambda: [one.connections for one in traffic.targets("web")] == [2, 2, 2], "two requests each")
    for wire in wires:
        assert wire.recv(4096).startswith(b"HTTP/1.1 200")
    # A connection that is only kept alive is not in flight: it would never end.
    wait_until(lambda: sum(one.connections for one in traffic.targets("web")) == 0, "none in flight")
    for wire in wires:
        wire.close()


def test_haproxy_that_died_comes_back_with_all_its_servers(local_deployment, fleet):
    traffic = local_deployment.provider.traffic
    traffic.drain("web", fleet[0].id)
    (pid,) = traffic._processes()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not traffic.running(), "its end")
    states = {one.instance_id: one.state for one in traffic.targets("web")}
    assert set(states) == {one.id for one in fleet}
    assert states[fleet[0].id] is TargetState.DRAINING
    wait_until(lambda: healthy(traffic) == {one.id for one in fleet[1:]}, "the other two")
    assert {fetch("127.0.0.1", local_deployment.port).split()[1] for _ in range(6)} == {one.id for one in fleet[1:]}
    traffic.deregister("web", fleet[0].id)
    assert len(traffic.targets("web")) == 2


def test_haproxy_hands_over_when_its_configuration_changes(local_deployment, fleet, load):
    clients, _ = load
    for client in clients:
        client.start()
    options = local_deployment.options(traffic=True)
    options["groups"]["web"]["traffic"]["health"] = "/"
    from driftd.edges.providers.local.provider import create

    before = local_deployment.provider.traffic._processes()
    changed = create(options)
    changed.up()
    wait_until(lambda: healthy(changed.traffic) == {one.id for one in fleet}, "all three")
    assert set(changed.traffic._processes()) - set(before)
    wait_until(lambda: set(before).isdisjoint(changed.traffic._processes()), "the end of the old one")
    for client in clients:
        client.done.set()
    for client in clients:
        client.join(30)
    # The old process closes kept-alive connections when it ends; each client may see that once, between two requests.
    assert all(failure == "" for client in clients for failure in client.failures)
    assert all(len(client.failures) <= 1 for client in clients)


def test_an_unhealthy_server_gets_no_requests(local_deployment, fleet):
    traffic = local_deployment.provider.traffic
    local_deployment.ssh(fleet[0], "kill -STOP $(pgrep -f [o]pt/web/app.py)")
    wait_until(lambda: healthy(traffic) == {one.id for one in fleet[1:]}, "the sick one's end of service")
    assert [t.state for t in traffic.targets("web") if t.instance_id == fleet[0].id] == [TargetState.UNHEALTHY]
    assert {fetch("127.0.0.1", local_deployment.port).split()[1] for _ in range(6)} == {one.id for one in fleet[1:]}
    local_deployment.ssh(fleet[0], "kill -CONT $(pgrep -f [o]pt/web/app.py)")
    wait_until(lambda: len(healthy(traffic)) == 3, "its return")


def test_what_is_not_there_is_initial_then_unhealthy_never_healthy(local_deployment, fleet):
    from dataclasses import replace

    traffic = local_deployment.provider.traffic
    subnet = local_deployment.provider.deployment.subnet()
    ghost = replace(fleet[0], id="i-ghost", address=str(subnet[5]))
    traffic.register("web", ghost)
    seen = set()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and TargetState.UNHEALTHY not in seen:
        seen |= {one.state for one in traffic.targets("web") if one.instance_id == "i-ghost"}
    assert TargetState.UNHEALTHY in seen
    assert TargetState.HEALTHY not in seen, "a server that was never seen to serve is not in service"
    traffic.deregister("web", "i-ghost")
