"""What a stretch of time comes to: counts and shares over its buckets, and the latency of the whole."""

from collections.abc import Iterable
from dataclasses import dataclass

from face_dashboard.charts import failed
from face_dashboard.models import Operation, Percentiles, Tally


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one operation. Shares are 0 to 1, None where there is nothing to have one of."""

    requests: int
    failed: int
    matches: int
    dismatches: int
    latency: Percentiles | None
    """Of the whole time a request took."""

    @property
    def fail_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None

    @property
    def match_share(self) -> float | None:
        faces = self.matches + self.dismatches
        return self.matches / faces if faces else None


def summary(tallies: Iterable[Tally], operation: Operation) -> Summary:
    """Add tallies up. Percentiles cannot be added: with several tallies there are none."""
    mine = [tally for tally in tallies if tally.operation == operation]
    latency = mine[0].latency.get("total") if len(mine) == 1 else None
    return Summary(
        sum(tally.requests for tally in mine),
        sum(failed(tally) for tally in mine),
        sum(tally.matches for tally in mine),
        sum(tally.dismatches for tally in mine),
        latency,
    )
