from collections.abc import Mapping
from typing import Any

from face_engine.evaluation.caveats import caveats_of
from support.evaluation import results

ORIGINS = {"origin": ["north", "south"] * 6}


def rate(count: int, of: int, low: float, high: float) -> dict[str, Any]:
    return {"value": count / of, "low": low, "high": high, "count": count, "of": of}


def text(found: Mapping[str, Any]) -> str:
    return "\n".join(caveats_of(found))


def harmless() -> dict[str, Any]:
    """Return results of which nothing has to be said."""
    found = results(subgroups=ORIGINS)
    found["data_set"]["persons"] = 1000
    for one in (*found["fnmr_at_fmr"], found["recommended"]):
        one["supported"] = True
    found["at_tolerance"] |= {"fmr": rate(100, 10_000, 0.008, 0.012), "fnmr": rate(50, 5_000, 0.008, 0.012)}
    for value in found["subgroups"][0]["values"]:
        value |= {"fmr": rate(50, 5_000, 0.008, 0.012), "fnmr": rate(25, 2_500, 0.008, 0.012)}
    return found


def test_nothing_is_said_of_harmless_results() -> None:
    assert caveats_of(harmless()) == []


def test_what_is_withheld_is_told_with_what_it_takes() -> None:
    found = results()
    assert (
        "FNMR at an FMR of 1e-3, 1e-4, 1e-5, 1e-6 is withheld; "
        "at 1e-3 since it takes 3,000 non-mated pairs, and 594 were compared."
    ) in text(found)
    assert "No tolerance is recommended" not in text(found)


def test_why_a_single_level_is_withheld_is_told() -> None:
    found = harmless()
    found["fnmr_at_fmr"][-1]["supported"] = False
    assert caveats_of(found) == [
        "FNMR at an FMR of 1e-6 is withheld, since it takes 3,000,000 non-mated pairs, and 10,000 were compared."
    ]


def test_why_no_tolerance_is_recommended_is_told() -> None:
    assert (
        "No tolerance is recommended for the wanted FMR of 0.01%, "
        "since it takes 30,000 non-mated pairs, and 594 were compared."
    ) in text(results(target_fmr=1e-4))


def test_intervals_of_few_persons_are_doubted() -> None:
    found = harmless()
    found["data_set"]["persons"] = 49
    assert "The set shows 49 persons." in text(found)
    found["data_set"]["persons"] = 50
    assert not text(found)


def test_problems_and_pairs_that_were_not_compared_are_told() -> None:
    told = text(results(problems=["it is not there"], without_face=[0]))
    assert "1 problem was skipped in the set" in told
    assert "2 mated and 33 non-mated pairs could not be compared" in told


def test_a_missing_kind_of_pairs_is_told() -> None:
    assert "The set has no mated pair" in text(results(photos_each=1))
    assert "No non-mated pair was compared" in text(results(names=("one",), photos_each=6))


def test_no_error_seen_is_not_no_error() -> None:
    found = harmless()
    found["at_tolerance"]["fnmr"] = rate(0, 5_000, 0, 0.0007)
    assert "That does not make FNMR 0: it may be as high as 0.07%." in text(found)


def test_an_fmr_above_the_wanted_one_is_told() -> None:
    found = harmless()
    found["recommended"]["fmr"] = 0.001
    assert "At the tolerance of 0.6 FMR is 1%" in text(found)
    assert "above the FMR of 0.1% that is wanted" in text(found)


def test_a_subgroup_far_above_the_whole_set_is_said_plainly() -> None:
    found = harmless()
    found["subgroups"][0]["values"][0]["fmr"] = rate(400, 1_000, 0.35, 0.45)
    (caveat,) = caveats_of(found)
    assert caveat == (
        "FMR within origin = north is 40% (400 of 1,000 pairs; 95 % interval 35% to 45%): 40 times that of the whole "
        "set (1%). The set's FMR is no guide for this subgroup."
    )


def test_a_subgroup_that_may_be_so_by_chance_is_said_to_be() -> None:
    found = harmless()
    found["subgroups"][0]["values"][0]["fnmr"] = rate(1, 10, 0.005, 0.4)
    (caveat,) = caveats_of(found)
    assert caveat.endswith("The interval reaches the whole set's: it may be chance.")


def test_a_subgroup_is_far_below_only_if_its_interval_is() -> None:
    found = harmless()
    found["subgroups"][0]["values"][0]["fmr"] = rate(0, 1_000, 0, 0.004)
    assert not text(found)
    found["subgroups"][0]["values"][0]["fmr"] = rate(0, 2_000, 0, 0.002)
    assert "less than a third of that of the whole set (1%)" in text(found)


def test_of_many_far_subgroups_the_farthest_are_told() -> None:
    found = harmless()
    found["subgroups"][0]["values"] = [
        {"value": f"{number}", "photos": 1, "fmr": rate(number, 100, 0.02, 0.99), "fnmr": rate(1, 100, 0, 0.5)}
        for number in range(4, 24)
    ]
    told = caveats_of(found)
    assert len(told) == 13
    assert "origin = 23 is 23%" in told[0]
    assert told[-1] == "8 more subgroups are far from the whole set: see their tables."
