"""Which tolerance a report speaks for: by a wanted false match rate, and what any other would cost."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """A tolerance for a wanted FMR; rates in 0 to 1.

    Args:
        tolerance: the largest one that keeps to the FMR on the set; `low` and `high` its 95 % interval, if there is
            one.
        fmr_there, fnmr: at this tolerance, as results.json has them, with intervals and counts.
    """

    fmr: float
    tolerance: float
    low: float | None
    high: float | None
    fmr_there: Mapping[str, Any]
    fnmr: Mapping[str, Any]


def choices(results: Results) -> list[Choice]:
    """Return a choice for each FMR that the set is large enough for, the report's own target among them; descending."""
    found = {
        one["fmr"]: Choice(
            one["fmr"],
            one["tolerance"]["value"],
            one["tolerance"]["low"],
            one["tolerance"]["high"],
            one["fmr_there"],
            one["fnmr"],
        )
        for one in (*results["fnmr_at_fmr"], results["recommended"])
        if one["supported"]
    }
    return [found[fmr] for fmr in sorted(found, reverse=True)]


def withheld(results: Results) -> list[float]:
    """Return the FMRs that the set is too small for, descending."""
    levels = {one["fmr"] for one in (*results["fnmr_at_fmr"], results["recommended"]) if not one["supported"]}
    return sorted(levels, reverse=True)


def rates_at(results: Results, tolerance: float) -> tuple[float, float] | None:
    """Return FMR and FNMR at a tolerance, of the nearest one below that the report tells; None without a curve."""
    curve = results["curve"]
    if curve is None:
        return None
    told = {at: (fmr, fnmr) for at, fmr, fnmr in zip(curve["tolerance"], curve["fmr"], curve["fnmr"], strict=True)}
    told |= {
        one["tolerance"]: (one["fmr"]["value"], one["fnmr"]["value"])
        for one in (*results["by_tolerance"], results["at_tolerance"])
    }
    told |= {one.tolerance: (one.fmr_there["value"], one.fnmr["value"]) for one in choices(results)}
    known = sorted(told)
    return told[known[max(bisect_right(known, tolerance) - 1, 0)]]
