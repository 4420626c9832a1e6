"""What the program that started `face-engine evaluate` reads of its progress."""

import json
from pathlib import Path

import pytest

from face_engine.cli.progress import LINE_INTERVAL_S, json_lines


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_lines_come_at_the_beginning_at_the_end_and_not_too_often_between(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with json_lines(title="encoding", total=100, unit="photo", clock=clock) as advance:
        for _ in range(50):
            advance(2)
            clock.now_s += 0.15 * LINE_INTERVAL_S
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert lines[0] == {"step": "encoding", "done": 0, "total": 100, "unit": "photo"}
    assert [line["done"] for line in lines[1:]] == [16, 30, 44, 58, 72, 86, 100]


def test_a_step_of_nothing_has_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with json_lines(title="comparing", total=0, unit="pair"):
        pass
    assert capfd.readouterr().err == '{"step": "comparing", "done": 0, "total": 0, "unit": "pair"}\n'


def test_a_step_that_fails_is_not_told_as_done(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        json_lines(title="reading", total=3, unit="photo", clock=Clock()) as advance,
    ):
        advance(1)
        (tmp_path / "gone").read_bytes()
    assert [json.loads(line)["done"] for line in capfd.readouterr().err.splitlines()] == [0]
