"""What a terminal shows of a report, and of the comparison of two."""

from collections.abc import Mapping
from typing import Any

from face_engine.calibration import RULE_OF_THREE
from face_engine.evaluation.intervals import is_supported

VERDICTS = {"worse": "worse", "better": "better", "none": "no difference beyond chance"}


def headline(results: Mapping[str, Any], report: str) -> dict[str, Any]:
    """Return the figures that a program asks for first, each a number, or None where it cannot be told."""
    accuracy, at_tolerance, timing = results["accuracy"], results["at_tolerance"], results["timing"]
    return {
        "accuracy_mean": accuracy and accuracy["mean"],
        "accuracy_se": accuracy and accuracy["standard_error"],
        "eer": results["eer"] and results["eer"]["value"],
        "fnmr_at_fmr": {one["level"]: one["fnmr"] and one["fnmr"]["value"] for one in results["fnmr_at_fmr"]},
        "fta": results["acquisition"]["fta"]["value"],
        "fte": results["acquisition"]["fte"]["value"],
        "pairs": results["data_set"]["pairs"],
        "images": results["data_set"]["photos"],
        "images_per_second": timing["images_per_second"],
        "tolerance": at_tolerance["tolerance"],
        "fmr": at_tolerance["fmr"]["value"],
        "fnmr": at_tolerance["fnmr"]["value"],
        "recommended_tolerance": results["recommended"]["tolerance"] and results["recommended"]["tolerance"]["value"],
        "report": report,
    }


def table(results: Mapping[str, Any], report: str) -> list[str]:
    """Return the figures as lines for people."""
    data, acquisition, timing = results["data_set"], results["acquisition"], results["timing"]
    at_tolerance, accuracy, eer = results["at_tolerance"], results["accuracy"], results["eer"]

    def line(title: str, value: str) -> str:
        return f"{title:<42}{value}"

    lines = [
        f"{data['name'] + ': ' if data['name'] else ''}{data['photos']:,} photos of {data['persons']:,} persons; "
        f"{data['mated_pairs']:,} mated and "
        f"{data['non_mated_pairs']:,} non-mated pairs",
        f"encoder {results['settings']['encoder_id']}, runtime {results['settings']['runtime']}",
    ]
    if data["problems"]:
        problems = "1 problem" if data["problems"] == 1 else f"{data['problems']:,} problems"
        lines.append(f"{problems} in the set skipped; results.json lists them")
    if data["notes"]:
        more = len(data["notes"]) - 1
        lines.append(data["notes"][0] + (f"; and {more:,} more notes in results.json" if more else ""))
    lines += [
        "",
        line("figure", "value      95 % interval         count"),
        line("FTA, no template could be made", proportion(acquisition["fta"])),
        line("FTE, would be refused as a reference", proportion(acquisition["fte"])),
        line(f"FMR at tolerance {at_tolerance['tolerance']:g}", proportion(at_tolerance["fmr"])),
        line(f"FNMR at tolerance {at_tolerance['tolerance']:g}", proportion(at_tolerance["fnmr"])),
    ]
    if eer is not None:
        lines.append(line("EER", f"{percent(eer['value']):<11}{interval(eer):<22}at {eer['tolerance']:.4f}"))
    lines += [line(f"FNMR at FMR {one['level']}", _at_fmr(results, one)) for one in results["fnmr_at_fmr"]]
    if accuracy is not None:
        lines.append(
            line(
                f"accuracy, {len(accuracy['folds'])} folds",
                f"{percent(accuracy['mean'])} +- {percent(accuracy['standard_error'])} (standard error)",
            )
        )
    else:
        lines.append(line("accuracy", "not told: it takes two folds that have pairs of both kinds"))
    for column in results["subgroups"]:
        lines += ["", f"{column['column']:<22}{'FMR':<34}{'FNMR':<34}FMR by that of all"]
        lines += [
            f"  {value['value'][:18]:<20}{_short(value['fmr']):<34}{_short(value['fnmr']):<34}{_ratio(value['fmr'])}"
            for value in column["values"]
        ]
    recommended = results["recommended"]
    lines.append("")
    if recommended["supported"]:
        tolerance = recommended["tolerance"]
        lines.append(
            f"For an FMR of {recommended['fmr']:g}: tolerance {tolerance['value']:.4f}"
            + (f" ({tolerance['low']:.3f} to {tolerance['high']:.3f})" if tolerance["low"] is not None else "")
        )
    else:
        why = why_withheld(results, recommended["fmr"])
        lines.append(f"For an FMR of {recommended['fmr']:g} no tolerance can be told: {why}")
    if timing["images_per_second"] is not None:
        total = timing["stages_ms"]["total"]
        lines.append(
            f"{timing['images_per_second']:.1f} images per second; milliseconds an image: "
            + ", ".join(f"{name} {total[name]:.0f}" for name in ("p50", "p95", "p99") if total[name] is not None)
        )
    return [*lines, f"Report: {report}/report.html"]


def comparison_table(comparison: Mapping[str, Any]) -> list[str]:
    """Return the comparison of two reports as lines for people."""
    lines = [f"{comparison['pairs']:,} pairs; beyond chance is p < {comparison['alpha']:g}", ""]
    lines += [f"{one['what']}: {one['old']} -> {one['new']}" for one in comparison["changes"]]
    if comparison["changes"]:
        lines.append("")
    lines.append(f"{'':<34}{'OLD':>10}{'NEW':>10}{'worse':>9}{'better':>9}{'McNemar':>10}{'persons':>10}{'p':>8}")
    for test in comparison["tests"]:
        lines.append(
            f"{test['what']:<34}{percent(test['old']):>10}{percent(test['new']):>10}{test['worse']:>9,}"
            f"{test['better']:>9,}{test['p_mcnemar']:>10.2g}{test['p_persons']:>10.2g}{test['p_corrected']:>8.2g}"
            f"  {VERDICTS[test['verdict']]}"
        )
    lines += [
        "",
        "worse, better: pairs that only OLD, only NEW got right. McNemar takes pairs for independent; persons: in",
        "draws of the persons. p is the larger of the two, by Holm's correction over all lines.",
        "",
        comparison["conclusion"],
    ]
    return lines


def why_withheld(results: Mapping[str, Any], fmr: float) -> str:
    """Return why FNMR and tolerance are not told for an FMR."""
    pairs = results["at_tolerance"]["fmr"]["of"]
    if not results["at_tolerance"]["fnmr"]["of"]:
        return "the set has no mated pair"
    if not is_supported(fmr, pairs):
        return f"it takes {RULE_OF_THREE / fmr:,.0f} non-mated pairs, and {pairs:,} were compared"
    return "at a tolerance of 0 more strangers match already"


def percent(rate: float | None) -> str:
    """Return a rate as a percentage with three digits that matter."""
    if rate is None:
        return "-"
    if rate in {0.0, 1.0}:
        return f"{rate:.0%}"
    hundredths = rate * 100
    return f"{hundredths:.3g}%" if hundredths < 10 else f"{hundredths:.4g}%"  # noqa: PLR2004 - two digits before the point


def proportion(rate: Mapping[str, Any]) -> str:
    """Return a rate, its interval and its counts."""
    return f"{percent(rate['value']):<11}{interval(rate):<22}{rate['count']:,} of {rate['of']:,}"


def interval(estimate: Mapping[str, Any]) -> str:
    """Return an interval of a rate."""
    return "" if estimate["low"] is None else f"{percent(estimate['low'])} to {percent(estimate['high'])}"


def _at_fmr(results: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    if not one["supported"]:
        return f"withheld: {why_withheld(results, one['fmr'])}"
    return proportion(one["fnmr"]) + f", tolerance {one['tolerance']['value']:.4f}"


def _short(rate: Mapping[str, Any]) -> str:
    return f"{percent(rate['value'])} ({interval(rate)})" if rate["value"] is not None else "-"


def _ratio(rate: Mapping[str, Any]) -> str:
    ratio = rate["ratio"]
    if ratio is None:
        return "-"
    return f"x{ratio['value']:.3g}" + (
        f" ({ratio['low']:.3g} to {ratio['high']:.3g})" if ratio["low"] is not None else ""
    )
