"""Which metrics can tell anything on the data of a run."""

import pandas as pd

LEAST_SCORE = 0.5
"""Bound discrimination score below which a metric ranks noise above knowledge."""


def not_to_be_trusted(calibration: pd.DataFrame) -> dict[str, float]:
    """Metrics whose duplicate loses to a negative control more often than not, with the score.

    By the technical duplicate, if it runs: the interpolated one is of the same cells with less
    noise, so that a metric that fails the former is not saved by the latter.
    """
    technical = calibration["duplicate"] == "ceiling"
    calibration = calibration[technical] if technical.any() else calibration
    least = calibration.groupby("metric")["bound_discrimination_score"].min()
    return {str(name): float(value) for name, value in least.items() if value < LEAST_SCORE}
