"""Tidy tables: one observation a row, stable format; and the tables and lists that users supply."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lcd_core.atomic import atomic
from lcd_core.errors import InputError, shown


def write_tsv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write ``frame`` as TSV: no index, six significant digits, missing values as ``NA``."""
    with atomic(path) as temporary:
        frame.to_csv(
            temporary, sep="\t", index=False, float_format="%.6g", na_rep="NA", lineterminator="\n"
        )


def read_tsv(path: str | Path, **kwargs: object) -> pd.DataFrame:
    """Read a table written by :func:`write_tsv`.

    Raises
    ------
    InputError
        If it is empty, or cut off.
    """
    path = Path(path)
    with path.open("rb") as file:
        file.seek(0, io.SEEK_END)
        size = file.tell()
        file.seek(max(0, size - 1))
        whole = file.read(1) == b"\n"
    try:
        if not whole:
            raise ValueError(f"{size} bytes, the last line without an end")
        return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["NA"], **kwargs)  # type: ignore[call-overload,no-any-return]
    except ValueError as error:  # of parsing as well
        raise InputError(
            "the table is damaged or cut off",
            where=str(path),
            found=str(error).splitlines()[0],
            remedy="delete it and run again, which makes it anew",
        ) from error


def read_text(path: str | Path, what: str, where: str, remedy: str) -> str:
    """Read a text file that a user supplies: UTF-8, with or without a byte-order mark.

    Parameters
    ----------
    path
        The file.
    what
        What it is, as in "the table of targets".
    where, remedy
        For the message: the file with its key in the configuration, and what to do.

    Raises
    ------
    InputError
        If it cannot be read, or is no such text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if "\0" not in text:
            return text
        told, found = f"not a text file, so not {what}", "a NUL character"
    except UnicodeDecodeError as error:
        told, found = f"not a text file, so not {what}", str(error)
    except OSError as error:
        told, found = f"{what} cannot be read: no such file", str(error.strerror)
        remedy = "check the path; a relative one starts at the working directory"
        if isinstance(error, PermissionError):
            told, remedy = f"{what} cannot be read", "change the permissions of the file"
    raise InputError(told, where=where, found=found, remedy=remedy)


def visible(text: str) -> str:
    """Text as it is, or quoted where blanks or invisible characters would not be seen."""
    return text if text.isprintable() and text == text.strip() else repr(text)


def read_user_table(
    path: str | Path, columns: Sequence[str], what: str, where: str, remedy: str
) -> pd.DataFrame:
    """Read columns of a tab-separated table that a user supplies, as text.

    Other columns and blank lines are passed over. Rows are numbered by their line in the file
    (index of the result).

    Parameters
    ----------
    path, what, where, remedy
        As in :func:`read_text`.
    columns
        The columns, each of which must be there once.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column or has it twice, or a row is longer or shorter than
        the header.
    """
    text = read_text(path, what, where, remedy)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            if any(row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"{what} cannot be read",
            where=f"{where}, line {reader.line_num}",
            found=str(error),
            remedy=remedy,
        ) from error
    header = rows[0] if rows else []
    if any(header.count(column) != 1 for column in columns):
        raise InputError(
            f"{what} needs the columns {' and '.join(columns)}, once each",
            where=where,
            found=f"columns {shown(visible(own[:40]) for own in header) or 'none'}",
            remedy=remedy,
        )
    uneven = [
        f"line {line}: {len(row)} for {len(header)} columns"
        for line, row in zip(lines, rows, strict=True)
        if len(row) != len(header)
    ]
    if uneven:
        raise InputError(
            f"rows of {what} are longer or shorter than its header",
            where=where,
            found=uneven,
            remedy=remedy,
        )
    at = [header.index(column) for column in columns]
    return pd.DataFrame(
        [[row[i] for i in at] for row in rows[1:]],
        columns=list(columns),
        index=lines[1:],
        dtype=object,
    )
