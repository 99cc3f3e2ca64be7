"""driftd's visits and persons' sessions on a real server: same user, address and moment, some with the same key."""

import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import pid_of

from driftd.core.facts import Unseen
from driftd.core.findings import Judgement, Verdict
from driftd.core.interned import Interned
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow
from driftd.core.visits import Parted
from driftd.core.whose import Visit, split
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh.command import command
from driftd.edges.ssh.connect import connect
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import CertificateOptions, SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.edges.store import open_store
from driftd.flows.visit import Visiting, Visitor

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]

STRANGERS = (["true"], ["-tt", "true"], ["THE COMMAND"])


def clock():
    return datetime.now(UTC)


class Place:
    """One server, driftd's way in, and the ports that sessions really came from."""

    def __init__(self, deployment, directory, *, certified):
        self.deployment = deployment
        self.server = deployment.launch()
        self.store = open_store(f"sqlite:///{directory}/driftd.db")
        self.own, self.persons = set(), set()
        self.options = SshOptions(key_file=str(deployment.key), agent=False)
        self.keys = [deployment.key, self._key(directory / "ann")]
        root = Path(f"/proc/{pid_of(self.server)}/root")
        with (root / "root/.ssh/authorized_keys").open("a") as file:
            file.write(Path(f"{self.keys[1]}.pub").read_text())
        if certified:
            ca = self._key(directory / "ca")
            with (root / "root/.ssh/authorized_keys").open("a") as file:
                file.write("cert-authority " + Path(f"{ca}.pub").read_text())
            self.options = SshOptions(agent=False, certificate=CertificateOptions(str(ca), forced=False))
            self.server = replace(self.server, reach=replace(self.server.reach, key_file=""))

    def _key(self, path):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def visit(self, how):
        """One short visit: "orderly", "broke" (nobody says goodbye), "refused", "never" (nobody connects)."""
        user = "nobody" if how == "refused" else "root"
        server = replace(self.server, reach=replace(self.server.reach, user=user))
        with Visiting(self.store, server, "", clock) as visited:
            if how == "never":
                return
            try:
                with connect(visited.reach, self.options, Deadline(60)) as connection:
                    self.own.add(visited.reach.visit.trace.way.port)
                    channel = connection.open_channel()
                    channel.exec_command("true")
                    if how == "broke":
                        return
                    channel.recv_exit_status()
                    visited.reach.visit.parts(Parted.ORDERLY)
            except SshError:
                assert how == "refused"

    def person(self, number):
        """One session of somebody at this very machine, as root; every other time with driftd's own key."""
        words = [command("root", self.options) if one == "THE COMMAND" else one for one in STRANGERS[number % 3]]
        flags, what = ([words[0]], words[1]) if len(words) > 1 else ([], words[0])
        ssh = self.deployment.ssh_command(self.server, key=self.keys[number % 2])
        done = subprocess.run(
            [*ssh[:1], *flags, *ssh[1:], f"echo $SSH_CONNECTION; {what}"],
            input=b"",
            capture_output=True,
            timeout=60,
            check=False,
        )
        self.persons.add(int(done.stdout.split()[1]))

    def look(self):
        """Whose the sessions are, by one whole look with what the store has."""
        looker, kept = SshLooker(self.options), []

        def audit(instance, visits, _known):
            began = clock()
            seen = looker.look(instance, deadline_s=600)
            assert not isinstance(seen, Unseen), seen.reason
            this = Visit("", began, clock(), trace=instance.reach.visit.trace)
            kept.append(split(seen.sessions, [*visits(), this], clock(), born=self.server.launched_at, this=this))
            return Look(instance, began, 0.0, Judgement(Verdict.CLEAN, ""))

        Visitor(self.store, audit, looker.own_key, clock=clock)(self.server)
        return kept[0]


@pytest.mark.parametrize("certified", [False, True], ids=["key", "certificate"])
@pytest.mark.parametrize(
    ("visits", "persons"), [(5, 3), pytest.param(200, 100, marks=pytest.mark.soak)], ids=["few", "hundreds"]
)
def test_whose_they_are(local_deployment, tmp_path, certified, visits, persons):
    place = Place(local_deployment, tmp_path, certified=certified)
    ways = ["orderly", "broke", "refused", "orderly", "never"]

    def strangers():
        for number in range(persons):
            place.person(number)

    thread = threading.Thread(target=strangers)
    thread.start()
    for number in range(visits):
        place.visit(ways[number % len(ways)])
    thread.join()
    found = place.look()
    place.store.close()
    own, others = ({one.port for one in found.own}, {one.port for one in found.others})
    assert len(place.persons) == persons
    assert place.persons <= others
    assert place.own <= own
    # The kernel gives a port a second time now and then: then one of each had it.
    assert others & place.own <= place.persons
    assert own & place.persons <= place.own
    assert found.translated == ""


def test_looks_over_one_connection_are_one_visit_and_nobody_else_is_it(local_deployment, tmp_path):
    place = Place(local_deployment, tmp_path, certified=False)
    recollections = RecollectionDirectory(tmp_path / "looks", 1 << 30)
    looker = SshLooker(place.options, None, recollections, worth=lambda _: 60.0)
    image = Interned(looker.look(place.server, deadline_s=600).entries)

    def audit(instance, visits, _known):
        began = clock()
        seen = looker.look(instance, deadline_s=600, image=image)
        assert not isinstance(seen, Unseen), seen.reason
        this = Visit("", began, clock(), trace=instance.reach.visit.trace)
        found.append(split(seen.sessions, [*visits(), this], clock(), born=place.server.launched_at, this=this))
        return Look(instance, began, 0.0, Judgement(Verdict.CLEAN, ""))

    found, at = [], clock()
    with place.store.write() as tx:
        one = place.server
        tx.put_instance(InstanceRow(one.id, one.group, "", one.image, "", "running", Verdict.CLEAN, "", "", at, at, at))
    visitor = Visitor(place.store, audit, looker.own_key, clock=clock, standing=looker.standing)
    for number in range(4):
        visitor(place.server)
        place.person(number)
    with place.store.read() as tx:
        rows = tx.visits(place.server.id)
    (port,) = {row.trace.way.port for row in rows}
    assert len(rows) == len({row.closed_at for row in rows}) == 4
    assert len({row.trace.scan for row in rows}) == 1
    visitor(place.server)
    looker.stop()  # and whoever looks when that connection is gone knows it still
    for split_ in (found[-1], place.look()):
        assert place.persons == {one.port for one in split_.others if one.port in place.persons}
        assert port in {one.port for one in split_.own}
        assert port not in {one.port for one in split_.others}
    place.store.close()
