"""Rollouts on real servers under load: forward and back, with an image that is fine and with three that are not.

Few and quick with three servers; ``-m soak`` plays the whole table with ten.
"""

from datetime import timedelta

import pytest
from fleets import BY_HAND, Fleet

from driftd.core.ports import LaunchRequest
from driftd.core.rollout import OVER, Stage, Strategy
from driftd.doors.desks.baking import Source
from driftd.edges.providers.local import image
from driftd.flows.rollout import Wish
from driftd.flows.survey import edges_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

CONFIG = BY_HAND.replace("        soak: 300ms ", "        soak: 3s ").replace(
    "min_healthy: 2", "min_healthy: LEAST\n      at_once: 30%\n      boot_timeout: 40s"
)
FINE = image.app("2")
ILL = image.app("3").replace('return "200 OK", "ok\\n"', 'return "503 Service Unavailable", "ill\\n"', 1)
TURNS = (
    image.app("4")
    .replace("VERSION = ", "SERVED = []\nVERSION = ", 1)
    .replace('        if path == "/":\n', '        if path == "/":\n            SERVED.append(1)\n', 1)
    .replace('return "200 OK", "ok\\n"', 'return ("200 OK", "ok\\n") if len(SERVED) < 20 else ("503 Ill", "ill\\n")', 1)
)
assert len({FINE, ILL, TURNS}) == 3


class Rolled(Fleet):
    """A group that is rolled out under load."""

    def __init__(self, stage, cache, size):
        super().__init__(stage)
        self.cache, self.size = cache, size
        self.golden = next(iter(self.instances().values())).image
        compute, traffic = edges_of(self.house.groups["web"])
        for number in range(4, size + 1):
            slot = f"web/{number}"
            made = compute.launch(LaunchRequest("web", slot, self.golden, f"test-{slot}", {"driftd:slot": slot}))
            traffic.register("web", made)
        self.wait(lambda: self.serving() == {self.golden: size})

    def serving(self):
        """How many in service run which image."""
        traffic = self.house.provider("web").traffic
        healthy = {one.instance_id for one in traffic.targets("web") if one.state == "healthy"}
        found = {}
        for one in self.house.provider("web").inventory.find("web"):
            if one.id in healthy:
                found[one.image] = found.get(one.image, 0) + 1
        return found

    def baked(self, app, *, otherwise=""):
        """An image with this application; its manifest, signed, says so, or something else."""
        files = image.files("1") | {image.APP_PATH: (0o644, app)}
        made = image.make(self.cache, image.ensure_base(self.cache), files, "web", image.finish)
        root = made.rootfs
        if otherwise:
            files = image.files("1") | {image.APP_PATH: (0o644, otherwise)}
            root = image.make(self.cache, image.ensure_base(self.cache), files, "web", image.finish).rootfs
        self.house.baking().bake(Source(root=root), made.id, self.house.manifests.path_for(made.id))
        return made.id

    def rolled(self):
        most = {}

        def over():
            for name, number in self.serving().items():
                most[name] = max(most.get(name, 0), number)
            one = self.house.rolling().shown("web").rollouts[0]
            return one if one.stage in OVER else None

        return self.wait(over, 40 * self.size), most

    def whole(self):
        """As the demo's fleet is whole, for so many."""
        instances = self.house.provider("web").inventory.find("web")
        assert len({one.slot for one in instances}) == len(instances) == self.size
        assert not [one for one in instances if one.tags.get("driftd:role")]
        assert self.house.keeping().verify()["ok"]


@pytest.fixture
def rolled(stage_of, image_cache):
    def make(size):
        return Rolled(stage_of(CONFIG.replace("LEAST", str(size - 1))), image_cache, size)

    return make


def play(fleet, app, how, *, otherwise="", back=False):
    """One rollout, and back where it ends well; the image, how it ended, and how many of it served at most."""
    image_id = fleet.baked(app, otherwise=otherwise)
    fleet.house.rolling().ask("web", Wish(image_id, how, 20, timedelta(seconds=3), "a test"))
    ended, most = fleet.rolled()
    if back:
        assert fleet.serving() == {image_id: fleet.size}
        fleet.house.rolling().back("web", "a test")
        returned, _ = fleet.rolled()
        assert returned.stage is Stage.DONE, fleet.tale()
    assert fleet.serving() == {fleet.golden: fleet.size}, fleet.tale()
    return ended, most.get(image_id, 0)


def under_load(fleet, *plays):
    fleet.stage.start_daemon()
    fleet.stage.start_load()
    for words, stage, bad in plays:
        ended, most = play(fleet, **words)
        assert ended.stage is stage, (words, ended, fleet.tale())
        assert most <= bad, words
    requests, failed, _, failures = fleet.stage.stop_load()
    assert (failed, failures) == (0, ())
    assert requests > 100
    fleet.whole()


def test_blue_green_forward_and_back_and_a_canary_that_turns_bad(rolled):
    fleet = rolled(3)
    under_load(
        fleet,
        ({"app": TURNS, "how": Strategy.CANARY}, Stage.UNDONE, 1),
        ({"app": FINE, "how": Strategy.BLUE_GREEN, "back": True}, Stage.DONE, 3),
    )


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("how", [*Strategy])
def test_a_group_of_ten_with_every_image(rolled, how):
    fleet = rolled(10)
    under_load(
        fleet,
        ({"app": FINE, "how": how, "back": True}, Stage.DONE, 10),
        ({"app": image.app("5"), "how": how, "otherwise": FINE}, Stage.UNDONE, 0),
        ({"app": ILL, "how": how}, Stage.UNDONE, 0),
        ({"app": TURNS, "how": how}, Stage.UNDONE, 2),
    )
