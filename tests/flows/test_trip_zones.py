"""Breakers and the order of replacements where slots are in zones, over a real store and the fake provider."""

from herd import Herd, edited

from driftd.core.replacement import State as Step


def zoned(home, size=9, names="abc"):
    """A herd whose slots are in these zones by turns, as its provider tells."""
    made = Herd(home, groups={"web": size}, every=300)
    made.provider.zones = {f"web/{number}": names[number % len(names)] for number in range(size)}
    return made


def sicken(herd, *slots, healthy=False):
    for server in herd.provider.servers.values():
        if server.instance.slot in slots and server.gone_at is None:
            herd.provider.make_sick(server.instance.id, healthy=healthy)


def test_a_zone_of_which_too_many_are_ill_is_left_alone_and_the_others_are_not(tmp_path):
    herd, ill = zoned(tmp_path, 13), ("web/0", "web/3", "web/6")
    herd.run(8)
    sicken(herd, *ill)
    herd.run(40, 10)
    assert herd.open() == {("C4", "zone:a")}
    assert herd.why("C4", "zone:a") == "3 of 5 in a are not ready, and more than 55 % stop it"
    herd.drift({"web/12"}, edited("/etc/x"))
    herd.drift({"web/1"}, edited("/etc/y"))
    herd.run(12)
    notes = {one.slot: one.note for one in herd.read("open_replacements")}
    assert "C4 is open for zone a" in notes["web/12"]
    assert "C4" not in notes["web/1"]
    sicken(herd, *ill, healthy=True)
    herd.run(17 * 60, 60)
    assert herd.open() == set()
    herd.run(240, 10)
    assert herd.replaced == {"web/1", "web/12"}
    herd.close()


def test_where_every_zone_is_ill_the_fleet_is_left_alone(tmp_path):
    herd = zoned(tmp_path, 6, "ab")
    herd.run(20)
    sicken(herd, "web/0", "web/1", "web/2", "web/3")
    herd.run(40)
    assert herd.open() == {("C4", scope) for scope in ("group:web", "zone:a", "zone:b", "fleet")}
    assert herd.why("C4", "fleet") == "all 2 zones are ill (a and b), more than 55 % of each not ready"
    herd.close()


def test_a_second_zone_waits_until_the_first_ones_replacement_is_over(tmp_path):
    herd = zoned(tmp_path, 20, "ab")
    herd.run(8)
    for name in ("i-0001", "i-0002"):  # by hand, so that slow start asks nothing; the budget has room for two
        herd.replacer.request(herd.provider.compute.describe(name), "ann asked")
    herd.run(12)
    going, waits = sorted(herd.read("open_replacements"), key=lambda one: one.slot)
    assert going.state is not Step.ADMITTING
    assert (waits.state, waits.note) == (
        Step.ADMITTING,
        "web is changed one zone at a time: a is under way, and this one is in b; it waits until that is over",
    )
    herd.run(240, 10)
    assert herd.replaced == {"web/0", "web/1"}
    herd.close()


def test_whatever_a_provider_tells_for_a_zone_is_kept_as_one_short_line(tmp_path):
    herd = zoned(tmp_path, 3, ["a\nb", "\x1b[2J" + "x" * 5000, "c"])

    def kept() -> dict[str, str]:
        return {one.slot: one.zone for one in herd.read("instances", "web")}

    def looked() -> None:
        for one in herd.provider.inventory.find("web"):
            herd.sweeper.sweep_one(one)

    for look in (lambda: herd.sweeper.discover("web"), looked):
        look()
        told = kept()
        assert told["web/2"] == "c"
        assert told["web/0"].startswith("a b~")
        assert len(told["web/1"]) == 63
        assert all(one.isprintable() for one in told.values())
    for zone, look in (("d", looked), ("e", lambda: herd.sweeper.discover("web"))):
        herd.provider.zones["web/2"] = zone
        look()
        assert kept()["web/2"] == zone
    herd.close()
