"""Which image an AMI is, where a tag of the AMI says so: an image has another id in each region and account."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from driftd.core.errors import Refused
from driftd.core.wording import printable
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud

AMI = "ami-"
_KEPT_S = 3600.0  # whoever tags an AMI anew is heard within the hour,
_NAMELESS_S = 60.0  # and sooner where it had no name: a pipeline names what it has tried
_VALUES = 200  # "Filter": the most values that one filter takes


class Images:
    """Without ``image_tag`` in the settings, an image is its AMI's id, and nothing is asked. Any thread may call."""

    def __init__(self, cloud: Cloud, clock: Callable[[], float] = time.monotonic) -> None:
        self._cloud = cloud
        self._tag = cloud.settings.image_tag
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, float]] = {}  # name and when it was read, by AMI

    def learn(self, amis: Iterable[str]) -> None:
        """Read what is not known of these, all at once. Raises ``ProviderError``."""
        if not self._tag:
            return
        with self._lock:
            now = self._clock()
            missing = sorted({one for one in amis if one and not self._fresh(one, now)})
            for some in (missing[at : at + _VALUES] for at in range(0, len(missing), _VALUES)):
                # By a filter: of an id that is no more, AWS refuses the whole question.
                filters = [{"Name": "image-id", "Values": some}]
                found = self._cloud.ask("ec2", "describe_images", Filters=filters, IncludeDeprecated=True)["Images"]
                said = {one["ImageId"]: names.tags_of(one.get("Tags", ())).get(self._tag, "") for one in found}
                self._known |= {one: (self._name(one, said), now) for one in some}

    def _fresh(self, ami: str, now: float) -> bool:
        known = self._known.get(ami)
        return known is not None and now - known[1] < (_KEPT_S if known[0] else _NAMELESS_S)

    def _name(self, ami: str, said: dict[str, str]) -> str:
        """What its tag says; what was known of one that is not told of any more, since its instances live on."""
        return said[ami] if ami in said else self._known.get(ami, ("", 0.0))[0]

    def name(self, ami: str) -> str:
        """The image that the AMI is; the AMI's own id where no tag says."""
        if not self._tag:
            return ami
        self.learn([ami])
        return self._known.get(ami, ("", 0.0))[0] or ami

    def ami(self, image: str) -> str:
        """The AMI to launch an image from. Raises ``Refused`` where the tag names none here, or several."""
        if not self._tag or image.startswith(AMI):
            return image
        filters = [*names.wanted({self._tag: image}), {"Name": "state", "Values": ["available"]}]
        found = self._cloud.ask("ec2", "describe_images", Filters=filters, IncludeDeprecated=True)["Images"]
        if len(found) == 1:
            ami = str(found[0]["ImageId"])
            with self._lock:
                self._known[ami] = (image, self._clock())  # whoever is launched from it is of this image
            return ami
        where, tag = self._cloud.settings.region, f"{self._tag}={printable(image)}"
        if not found:
            raise Refused(
                f"no AMI in {where} that can be launched has the tag {tag}",
                "copy it there and tag the copy, or correct the image of the group",
            )
        several = ", ".join(sorted(one["ImageId"] for one in found)[:5])
        raise Refused(f"{len(found)} AMIs in {where} have the tag {tag}: {several}", "leave it on the right one")
