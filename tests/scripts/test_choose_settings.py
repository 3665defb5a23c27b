"""Which point of a grid wins."""

import json

import numpy as np
import pytest

from lcd_core.errors import InputError
from pipeline.tables import read_tsv
from tests.scripts.test_metrics_scripts import write_values
from tuning import choose_settings

NAMES = ("A+B", "A+C", "B+C", "C+D")


def choose(folder, *columns):
    """The ranking and the winner, of points numbered in the order given."""
    tables = [
        str(
            write_values(
                folder / f"{number}.tsv", "tuning", f"lcd/grid{number:03d}", "mmd_all",
                dict(zip(NAMES, values, strict=True)),
            )
        )
        for number, values in enumerate(columns, start=1)
    ]  # fmt: skip
    numbers = range(1, len(columns) + 1)
    choose_settings.main(
        metrics_tables=tables,
        points=[{"drift.steps": number} for number in numbers],
        values=[{"steps": number} for number in numbers],
        metric="mmd_all",
        method="lcd",
        ranking=str(folder / "ranking.tsv"),
        winner=str(folder / "winner.json"),
    )
    return read_tsv(folder / "ranking.tsv"), json.loads((folder / "winner.json").read_text())


def test_the_least_median_wins_and_equal_ones_go_by_the_mean(tmp_path):
    table, winner = choose(tmp_path, [3, 3, 3, 9], [1, 3, 3, 9], [4, 4, 4, 4])
    assert winner == {"steps": 2}
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["n"].tolist() == [4, 4, 4]


def test_points_compete_where_all_of_them_have_a_value(tmp_path, caplog):
    """The second has the least median of its own values, at the one pair that is easy for all."""
    gaps = [0.3, np.nan, np.nan, np.nan]
    table, winner = choose(tmp_path, [0.2, 0.6, 0.7, 0.7], gaps, [np.nan] * 4)
    assert winner == {"steps": 1}
    assert table["n"].tolist() == [1, 1, 0]
    assert "left out, not defined for all points: A+C, B+C, C+D" in caplog.text


def test_a_metric_that_no_point_defines(tmp_path):
    with pytest.raises(InputError, match=r"tuning\.metric"):
        choose(tmp_path, [np.nan] * 4, [np.nan] * 4)
    assert not (tmp_path / "winner.json").exists()
