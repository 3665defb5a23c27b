"""The table of a training run."""

import pandas as pd

from lcd_core.training import COLUMNS, TrainingLog
from pipeline.tables import write_tsv


def write_training_log(log: TrainingLog, path: str) -> None:
    """Write the rows of a training run; the evidence column is there for priors only.

    Seconds differ between two runs of the same seed, so this table alone is not reproducible bit
    for bit.
    """
    frame = pd.DataFrame(log.rows, columns=COLUMNS)
    frame["step"] = frame["step"].astype(int)
    if frame["evidence"].isna().all():
        frame = frame.drop(columns="evidence")
    write_tsv(frame, path)
