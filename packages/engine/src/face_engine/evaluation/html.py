"""report.html: the results for people, on one page that needs nothing else, neither another file nor a network."""

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from face_engine.evaluation import figures
from face_engine.evaluation.caveats import caveats_of
from face_engine.evaluation.photos_shown import data_uri
from face_engine.evaluation.summary import interval, percent, why_withheld

CURVES = (
    (
        "det",
        figures.det,
        "How the two errors trade: every point of the line is a tolerance. Further left fewer strangers match, further "
        "down fewer users are refused, so a line nearer to the lower left corner is better. In the shading a rate "
        "rests on fewer than three errors.",
    ),
    (
        "roc",
        figures.roc,
        "The share of mated pairs that match (1 - FNMR), at each share of non-mated pairs that do. A line nearer to "
        "the upper left corner is better; read it at the FMR that you can afford. The shading is as in the DET.",
    ),
    (
        "rates",
        figures.rates_by_tolerance,
        "To choose a tolerance: a larger one lets more strangers match (FMR), a smaller one refuses more users (FNMR). "
        "An open marker is a rate of 0, whose bar reaches up to what it may be.",
    ),
    (
        "distances",
        figures.distances,
        "Mated pairs should lie left of the tolerance, non-mated ones right of it; where the two overlap, no tolerance "
        "is right for both. Each kind is drawn as shares of its own number.",
    ),
    (
        "fnmr-at-fmr",
        figures.fnmr_at_fmr,
        "Of 100 attempts of the right person, so many fail, where the tolerance is chosen for the FMR below. A level "
        "takes 3 / FMR non-mated pairs; where the set has fewer, it is withheld.",
    ),
)
"""Name, figure and how to read it."""

SUBGROUP_CAPTION = (
    "Each subgroup's rates at the one tolerance; the lines are the whole set's. A bar that stays clear of the line "
    "is a difference that chance hardly explains. An open marker is a rate of 0, drawn at the axis."
)

LATENCY_CAPTION = (
    "Half of the photos take less than the median, one in a hundred more than the 99 % bar. The total is of each "
    "photo's own sum, so its percentiles are not the sums of the stages'."
)


def html_of(results: Mapping[str, Any], manifest: Mapping[str, Any], images: Path) -> bytes:
    """Return the page, in UTF-8; always the same bytes of the same documents and photos.

    Args:
        results: what results.json holds; `manifest` likewise.
        images: the set's folder, from which the photos of the worst pairs are read. Where one cannot be read, the page
            says so.
    """
    drawn = list(_figures(results))
    plotly, script = get_plotlyjs(), _text("report.js")
    page: str = _template().render(
        results=results,
        manifest=manifest,
        caveats=caveats_of(results),
        curves=[(name, caption) for name, _, caption in CURVES],
        subgroup_caption=SUBGROUP_CAPTION,
        latency_caption=LATENCY_CAPTION,
        titles={name: figure.layout.title.text for name, figure in drawn},
        galleries=_galleries(results, images),
        made_with=list(_flat(manifest)),
        # Only these two scripts run, whatever else finds its way into the page.
        script_sources=f"{_source_hash(plotly)} {_source_hash(script)}",
        # What the template takes as it is, and does not escape.
        raw={
            "figures": _json({name: json.loads(figure.to_json()) for name, figure in drawn}),
            "plotly": plotly,
            "script": script,
            "style": _text("report.css"),
        },
        why_withheld=lambda fmr: why_withheld(results, fmr),
    )
    return page.encode("utf-8", "replace")  # a path need not be valid text


def _figures(results: Mapping[str, Any]) -> Iterator[tuple[str, go.Figure]]:
    for name, figure, _ in CURVES:
        yield name, figure(results)
    for number, column in enumerate(results["subgroups"]):
        yield f"subgroup-{number}", figures.subgroups(results, column["column"])
    yield "latency", figures.latency(results)


def _galleries(results: Mapping[str, Any], images: Path) -> list[dict[str, Any]]:
    """Return both lists of worst pairs, each photo with what is shown of it."""
    shown = cache(lambda file, box: data_uri(images, file, box))

    def pairs(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                **pair,
                "photos": [photo | {"shown": shown(photo["file"], tuple(photo["box"]))} for photo in pair["photos"]],
            }
            for pair in found
        ]

    worst = results["worst"]
    return [
        {
            "name": "false-matches",
            "title": "Nearest non-mated pairs",
            "caption": "Two persons each, whose faces the encoder takes for most alike.",
            "error": "false match",
            "right": "right, though near",
            "pairs": pairs(worst["false_matches"]),
        },
        {
            "name": "false-non-matches",
            "title": "Farthest mated pairs",
            "caption": "One person each, whose two photos the encoder takes for least alike.",
            "error": "false non-match",
            "right": "right, though far",
            "pairs": pairs(worst["false_non_matches"]),
        },
    ]


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the entries of a document and those of the documents in it, by their path."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, shlex.join(map(str, value))
        else:
            yield prefix + key, "-" if value is None else str(value)


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("face_engine.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "number": _number, "times": _times, "when": _when}
    return environment.get_template("report.html.j2")


def _number(value: float | None, form: str = ",") -> str:
    return "-" if value is None else format(value, form)


def _times(ratio: float) -> str:
    """Return a ratio with two digits that matter, and without an exponent."""
    return format(ratio, ",.0f" if ratio >= 10 else ".2g")  # noqa: PLR2004 - two digits


def _when(moment: str) -> str:
    """Return an ISO time as people write it."""
    return moment.replace("T", " ").replace("Z", " UTC")


def _json(value: Any) -> str:
    """Return JSON that may stand in a script element: nothing in it ends that, nor begins a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return files("face_engine.evaluation").joinpath(name).read_text("utf-8")
