"""What a plan foretold of a push or copy, to be held against what it would do, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.reference import Reference


class Foretold(Struct, frozen=True):
    """The digests that a plan, named `plan` in messages, foretold.

    `before` are the digests that the tags of destinations named when the plan was made, None for none; a tag that
    it lacks was not looked up then.
    """

    plan: str
    digests: Sequence[str]
    before: Mapping[str, str | None]

    def check_result(self, what: str, digests: Sequence[str]) -> None:
        """Raise BundlepipeError unless these are the digests that were foretold; `what` is for the message."""
        if sorted(digests) != sorted(self.digests):
            made, foretold = ", ".join(digests), ", ".join(self.digests)
            raise BundlepipeError(f"{what}: would be {made}, and not {foretold} as in {self.plan}: plan again")

    def check_destination(self, place: Reference, now: str | None) -> None:
        """Raise BundlepipeError if a tag that is about to move names neither what it named then nor what it is to."""
        name = str(place)
        if name not in self.before or now in (self.before[name], *self.digests):
            return
        before = self.before[name] or "nothing"
        raise BundlepipeError(
            f"{name}: names {now or 'nothing'} now, and named {before} when {self.plan} was made: plan again"
        )
