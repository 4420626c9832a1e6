"""`make cuda-check`: what the networks answer and cost on this machine's NVIDIA GPU, and what goes wrong.

Each part that fails is told with why, and the others go on. The result is a page in Markdown, with the device's name at
its top. With --device cpu the same parts run on the CPU, which proves the check itself.

The exit status is 0 if all parts passed, 1 if one did not, 3 if nothing here can use the device.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from bench import GROUPS, SAMPLES, in_band
from cuda_agreement import ORACLE, SHARED_TEMPLATE_DISTANCE, agreement, answers_of, dlibs_answers, spread, verdicts
from cuda_machine import heading
from cuda_memory import alone, measure_memory, run_out_of_memory
from cuda_speed import encodings_per_second, latency, photos_per_second
from face_engine.images import decode
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import DEVICES, MIN_GPU_MEMORY_MB, Device, Runtime, create_runtime, device_status
from sample_photos import sample_photo

PAIRS = GROUPS.parent / "lfw-dev"
RUNTIMES = ("onnx", "reference")
BOUNDS_MB = (None, MIN_GPU_MEMORY_MB, 2 * MIN_GPU_MEMORY_MB)
CONTEXT_MB = 1024
"""What CUDA itself may take for a process, beside what the networks are held to."""

REPEATS, QUICK_REPEATS = 20, 1


class CheckError(Exception):
    """A part of the check did not pass; `lines` is what it measured all the same."""

    def __init__(self, why: str, lines: list[str]) -> None:
        super().__init__(why, lines)
        self.why, self.lines = why, lines


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured with one runtime."""

    runtime: str
    device: Device
    groups: Path
    pairs: Path
    quick: bool

    @property
    def repeats(self) -> int:
        return QUICK_REPEATS if self.quick else REPEATS

    @property
    def paths(self) -> list[Path]:
        """The photos of face_recognition and, where the development set is here, its group photos."""
        found = [sample_photo(name) for name in SAMPLES]
        return found[:1] if self.quick else found + sorted(self.groups.glob("*.jpg"))

    def load(self) -> Runtime:
        return create_runtime(self.runtime, self.device)


def answers(plan: Plan) -> list[str]:
    """Boxes, confidences and templates, beside dlib's own answers or the CPU's."""
    if (plan.groups / ORACLE).is_file() and not plan.quick:
        title, expected = "dlib 20.0.1 on the CPU", dlibs_answers(plan.groups)
    else:
        title, expected = "onnx on the CPU", answers_of(create_runtime("onnx", "cpu"), plan.paths)
    found = agreement(plan.load(), expected)
    lines = [
        f"Compared with {title}, {len(expected)} photos, {found.faces} faces, searched without upsampling:",
        "",
        "| | at most |",
        "|---|---|",
        f"| boxes apart, pixels | {found.box_pixels} |",
        f"| confidences apart | {found.confidence:.1e} |",
    ]
    if found.faces:
        lines.append(f"| distance of a face's two templates, 50 / 95 / 99 / 100 % | {spread(found.apart)} |")
    if not found.is_close:
        why = "; ".join(found.other_faces) or "boxes or confidences are farther apart than they may be"
        raise CheckError(why, lines)
    return lines


def pairs(plan: Plan) -> list[str]:
    """Templates and verdicts on a labelled set, beside those of the CPU."""
    if not (plan.pairs / "pairs.txt").is_file():
        return [f"Left out: there is no set in LFW's form in {plan.pairs.name}/ (--pairs names another folder)."]
    found = verdicts(plan.load(), create_runtime("onnx", "cpu"), plan.pairs)
    lines = [
        f"{len(found.apart)} photos and {len(found.moved)} pairs, as the service makes templates, compared with onnx "
        "on the CPU (distances at 50 / 95 / 99 / 100 %):",
        "",
        "| | |",
        "|---|---|",
        f"| distance of a photo's two templates | {spread(found.apart)} |",
        f"| by which a pair's distance differs | {spread(found.moved)} |",
    ]
    lines += [f"| verdicts that differ at {at:g} | {count} |" for at, count in found.changed.items()]
    if found.apart.max() <= SHARED_TEMPLATE_DISTANCE and not any(found.changed.values()):
        lines += ["", "Templates are as near as the CPU's runtimes are to each other: they could share its encoder id."]
    else:
        lines += ["", "Templates differ: they must keep an encoder id of their own."]
    if found.failed:
        raise CheckError(f"a face was found by one of the two alone in {', '.join(found.failed)}", lines)
    return lines


def speed(plan: Plan) -> list[str]:
    """Latency, and what is done in a second by how much is given at a time."""
    photos = [data for path in plan.paths for data in in_band(path.read_bytes())]
    runtime = plan.load()
    engine = FaceEngine(runtime)
    one = latency(engine, photos, 1 if plan.quick else 3)
    chips = encodings_per_second(runtime, plan.repeats)
    rates = photos_per_second(engine, photos, 1 if plan.quick else 3)
    return [
        f"{len(photos)} photos of 300 to 500 KB:",
        "",
        "| one photo after the other, ms | mean | p50 | p95 |",
        "|---|---|---|---|",
        f"| bytes to templates | {one.mean:.1f} | {one.p50:.1f} | {one.p95:.1f} |",
        "",
        *_row("chips at a time", chips),
        _values("encodings a second", chips),
        "",
        *_row("photos at a time", rates),
        _values("photos a second", rates),
    ]


def memory(plan: Plan) -> list[str]:
    """What is taken of the device's memory, held to a bound and not."""
    face = decode(sample_photo(SAMPLES[0]).read_bytes())
    bounds = BOUNDS_MB if (plan.runtime, plan.device) == ("onnx", "cuda") else (None,)
    rows = [measure_memory(plan.runtime, plan.device, bound, face) for bound in bounds]
    lines = [
        "Photos of ten sizes up to 3.2 megapixels, then 32 chips, in a process of their own; MB of the "
        f"{'GPU, CUDA itself included' if plan.device == 'cuda' else 'process'}:",
        "",
        "| bound | before | most |",
        "|---|---|---|",
    ]
    lines += [f"| {row.limit_mb or 'none'} | {row.before:.0f} | {row.peak:.0f} |" for row in rows]
    if over := [row for row in rows if row.limit_mb and row.peak - row.before > row.limit_mb + CONTEXT_MB]:
        raise CheckError(f"the bound of {over[0].limit_mb} MB was not kept", lines)
    return lines


def too_little_memory(plan: Plan) -> list[str]:
    """A photo for which there is not enough memory, and the one after it."""
    if (plan.runtime, plan.device) not in (("onnx", "cuda"), ("onnx", "cpu")):
        return ["Left out: dlib cannot be held to an amount of memory."]
    told = run_out_of_memory(plan.runtime, plan.device, decode(sample_photo(SAMPLES[0]).read_bytes()))
    return [f"A photo of 25 megapixels was refused, and the next one answered as before. It was said: `{told}`"]


PARTS: dict[str, Callable[[Plan], list[str]]] = {
    "Answers": answers,
    "Verdicts on pairs": pairs,
    "Speed": speed,
    "Memory": memory,
    "Too little memory": too_little_memory,
}


@click.command()
@click.option("--device", type=click.Choice(DEVICES), default="cuda", show_default=True)
@click.option("--runtime", "runtimes", type=click.Choice(RUNTIMES), multiple=True, help="[default: both]")
@click.option("--groups", type=click.Path(path_type=Path), default=GROUPS, help="Group photos with dlib's answers.")
@click.option("--pairs", "pairs_folder", type=click.Path(path_type=Path), default=PAIRS, help="images/ and pairs.txt.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("artifacts/cuda-check.md"), show_default=True)
@click.option("--quick", is_flag=True, help="One photo, and no pairs: whether it works at all.")
def main(device: Device, runtimes: tuple[str, ...], groups: Path, pairs_folder: Path, out: Path, quick: bool) -> None:
    """Check what executes the networks on a device."""
    lines, passed, ran = [*heading(device)], True, False
    for name in runtimes or RUNTIMES:
        status = device_status(name, device)
        lines += ["", f"## `{name}` on {device}", "", status.detail + "."]
        passed = passed and status.available
        ran = ran or status.available
        if status.available:
            plan = Plan(name, device, groups, pairs_folder, quick)
            for title, part in PARTS.items():
                if quick and part is pairs:
                    continue
                print(f"{name} on {device}: {title}", file=sys.stderr, flush=True)
                found, good = run(apart(part), plan)
                lines += ["", f"### {title}", "", *found]
                passed = passed and good
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"\nWritten to {out}; {'all passed' if passed else 'NOT all passed'}", file=sys.stderr)
    sys.exit(0 if passed else 1 if ran else 3)


def apart(part: Callable[[Plan], list[str]]) -> Callable[[Plan], list[str]]:
    """Return the part in a process of its own: one that loses the GPU, or its life, must not take the others along."""
    return lambda plan: alone(part, plan)


def run(part: Callable[[Plan], list[str]], plan: Plan) -> tuple[list[str], bool]:
    """Return what a part tells, and whether it passed."""
    try:
        return part(plan), True
    except CheckError as error:
        return [*error.lines, "", f"**Failed**: {error.why}."], False
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
        return [f"**Failed**: {type(error).__name__}: {error}"], False


def _row(title: str, rates: dict[int, float]) -> list[str]:
    return [f"| {title} | {' | '.join(map(str, rates))} |", "|---" * (1 + len(rates)) + "|"]


def _values(title: str, rates: dict[int, float]) -> str:
    return f"| {title} | {' | '.join(f'{rate:.1f}' for rate in rates.values())} |"


if __name__ == "__main__":
    main()
