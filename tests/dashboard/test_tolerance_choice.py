"""Which tolerances a report offers, and what any other one costs."""

from face_dashboard.accuracy.tolerance_choice import choices, rates_at, withheld
from support.evaluation import results


def test_every_wanted_rate_is_offered_or_withheld() -> None:
    made = results(target_fmr=0.02)
    assert [one.fmr for one in choices(made)] == [0.1, 0.02, 0.01]
    assert withheld(made) == [1e-3, 1e-4, 1e-5, 1e-6]


def test_a_choice_keeps_to_its_rate() -> None:
    for choice in choices(results()):
        assert choice.fmr_there["value"] <= choice.fmr
        assert choice.low is not None
        assert choice.high is not None
        assert choice.low <= choice.tolerance <= choice.high


def test_rates_are_those_of_the_tables_where_it_has_them() -> None:
    made = results()
    for choice in choices(made):
        assert rates_at(made, choice.tolerance) == (choice.fmr_there["value"], choice.fnmr["value"])
    for one in made["by_tolerance"]:
        assert rates_at(made, one["tolerance"]) == (one["fmr"]["value"], one["fnmr"]["value"])


def test_between_them_rates_follow_the_curve() -> None:
    made = results()
    previous = (0.0, 1.0)
    for number in range(2001):
        rates = rates_at(made, number / 1000)
        assert rates is not None
        assert rates[0] >= previous[0]
        assert rates[1] <= previous[1]
        previous = rates
    assert previous == (1.0, 0.0)


def test_a_set_of_one_person_has_no_rates() -> None:
    made = results(names=("ann",))
    assert choices(made) == []
    assert rates_at(made, 0.6) is None
