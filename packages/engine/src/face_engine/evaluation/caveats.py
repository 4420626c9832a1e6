"""What a reader of a report must not overlook, in plain words: all of it follows from the results."""

from collections.abc import Iterator, Mapping
from typing import Any

from face_engine.evaluation.summary import interval, percent, why_withheld

FEW_PERSONS = 50
"""With fewer, drawing the persons anew tells too little of what other persons would have done."""

FAR_FROM_ALL = 3.0
"""A subgroup's rate by that of the whole set, or the reverse, which is said plainly."""

MAX_SUBGROUPS = 12
"""Told one by one."""


def caveats_of(results: Mapping[str, Any]) -> list[str]:
    """Return the sentences, the weightiest first; empty where there is nothing to say."""
    return [
        *_missing_pairs(results),
        *_subgroups(results),
        *_against_target(results),
        *_withheld(results),
        *_no_errors(results),
        *_few_persons(results),
        *_not_compared(results),
        *_problems(results),
    ]


def _missing_pairs(results: Mapping[str, Any]) -> Iterator[str]:
    if not results["at_tolerance"]["fnmr"]["of"]:
        yield "The set has no mated pair: how often users are refused (FNMR) cannot be told, nor anything made of it."
    if not results["at_tolerance"]["fmr"]["of"]:
        yield "No non-mated pair was compared: how often strangers match (FMR) cannot be told, nor anything made of it."


def _subgroups(results: Mapping[str, Any]) -> Iterator[str]:
    overall = results["at_tolerance"]
    found = []
    for column in results["subgroups"]:
        for value in column["values"]:
            for name, key in (("FMR", "fmr"), ("FNMR", "fnmr")):
                rate, of_all = value[key], overall[key]["value"]
                if rate["value"] is None or not of_all:
                    continue
                ratio = rate["value"] / of_all
                where = f"{name} within {column['column']} = {value['value']} is {_counted(rate)}"
                if ratio > FAR_FROM_ALL:
                    chance = "" if rate["low"] > of_all else " The interval reaches the whole set's: it may be chance."
                    found.append(
                        (
                            ratio,
                            f"{where}: {ratio:.2g} times that of the whole set ({percent(of_all)}). The set's {name} "
                            f"is no guide for this subgroup.{chance}",
                        )
                    )
                elif rate["high"] * FAR_FROM_ALL < of_all:
                    found.append(
                        (
                            of_all / max(rate["value"], rate["high"] / FAR_FROM_ALL),
                            f"{where}: less than a third of that of the whole set ({percent(of_all)}).",
                        )
                    )
    found.sort(key=lambda one: -one[0])
    yield from (sentence for _, sentence in found[:MAX_SUBGROUPS])
    if len(found) > MAX_SUBGROUPS:
        yield f"{len(found) - MAX_SUBGROUPS:,} more subgroups are far from the whole set: see their tables."


def _against_target(results: Mapping[str, Any]) -> Iterator[str]:
    at_tolerance, target = results["at_tolerance"], results["recommended"]["fmr"]
    rate = at_tolerance["fmr"]
    if rate["value"] is not None and rate["low"] > target:
        yield (
            f"At the tolerance of {at_tolerance['tolerance']:g} FMR is {_counted(rate)}: above the FMR of "
            f"{percent(target)} that is wanted."
        )


def _withheld(results: Mapping[str, Any]) -> Iterator[str]:
    withheld = [one for one in results["fnmr_at_fmr"] if not one["supported"]]
    recommended = results["recommended"]
    if not withheld and recommended["supported"]:
        return
    text = ""
    if withheld:
        levels = ", ".join(one["level"] for one in withheld)
        first = withheld[0]
        of_first = f"; at {first['level']} since" if len(withheld) > 1 else ", since"
        text = f"FNMR at an FMR of {levels} is withheld{of_first} {why_withheld(results, first['fmr'])}. "
    if not recommended["supported"]:
        fmr = recommended["fmr"]
        text += f"No tolerance is recommended for the wanted FMR of {percent(fmr)}"
        text += "." if withheld and withheld[0]["fmr"] == fmr else f", since {why_withheld(results, fmr)}."
    yield text.strip()


def _no_errors(results: Mapping[str, Any]) -> Iterator[str]:
    at_tolerance = results["at_tolerance"]
    for name, key, pairs in (("FMR", "fmr", "non-mated"), ("FNMR", "fnmr", "mated")):
        rate = at_tolerance[key]
        if rate["of"] and not rate["count"]:
            yield (
                f"No error was seen in {rate['of']:,} {pairs} pairs at the tolerance of {at_tolerance['tolerance']:g}. "
                f"That does not make {name} 0: it may be as high as {percent(rate['high'])}."
            )


def _few_persons(results: Mapping[str, Any]) -> Iterator[str]:
    persons = results["data_set"]["persons"]
    if persons < FEW_PERSONS:
        yield (
            f"The set shows {persons:,} person{'s' * (persons != 1)}. With fewer than {FEW_PERSONS} the intervals, of "
            "FMR above all, are likely too narrow: other persons may give other rates."
        )


def _not_compared(results: Mapping[str, Any]) -> Iterator[str]:
    data = results["data_set"]
    mated, non_mated = data["mated_pairs_not_compared"], data["non_mated_pairs_not_compared"]
    if mated or non_mated:
        yield (
            f"{mated:,} mated and {non_mated:,} non-mated pairs could not be compared, since one of their photos gave "
            "no template. The mated ones count as false non-matches; the non-mated ones are left out of FMR."
        )


def _problems(results: Mapping[str, Any]) -> Iterator[str]:
    count = results["data_set"]["problems"]
    if count:
        yield f"{count:,} problem{'s were' if count != 1 else ' was'} skipped in the set; the list is below."


def _counted(rate: Mapping[str, Any]) -> str:
    return f"{percent(rate['value'])} ({rate['count']:,} of {rate['of']:,} pairs; 95 % interval {interval(rate)})"
