"""Tidy tables: one observation a row, stable format."""

from pathlib import Path

import pandas as pd

from lcd_core.atomic import atomic


def write_tsv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write ``frame`` as TSV: no index, six significant digits, missing values as ``NA``."""
    with atomic(path) as temporary:
        frame.to_csv(
            temporary, sep="\t", index=False, float_format="%.6g", na_rep="NA", lineterminator="\n"
        )


def read_tsv(path: str | Path, **kwargs: object) -> pd.DataFrame:
    """Read a table written by :func:`write_tsv`."""
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["NA"], **kwargs)  # type: ignore[call-overload,no-any-return]
