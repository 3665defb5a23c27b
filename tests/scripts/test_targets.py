"""Targets that are no genes of their own name: tables, symbols, and what is said about them."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcd_core.errors import InputError
from pipeline.screen import measured_target_genes, target_genes, targets_of_genes
from pipeline.targets import genes_by_symbol, genes_of_targets, read_target_table
from tests.scripts.screens import counts_and_labels, user_file
from tests.scripts.test_import_screen import imported, refused

LABELS = ("control", "A", "B", "A+C", "drug")
IDS = [f"ENSG{j}" for j in range(12)]
SYMBOLS = ["A", "B", "C", "B", *(f"G{j}" for j in range(4, 11)), np.nan]


def raw_file(folder: Path, genes: list[str] | None = None, symbols: list | None = None) -> str:  # type: ignore[type-arg]
    counts, labels = counts_and_labels(LABELS, n_cells=3)
    var = {"symbol": symbols, "chromosome": "1"} if symbols else None
    return user_file(folder / "raw.h5ad", counts, labels, genes=genes, var=var)  # type: ignore[arg-type]


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if "targets are measured genes" in record.getMessage()
    ]


def table_of(folder: Path, *rows: str, header: str = "target\tgene") -> str:
    path = folder / "targets.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_the_column_that_names_the_targets_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    screen = imported(tmp_path, raw_file(tmp_path, IDS, SYMBOLS))
    ((level, text),) = messages(caplog)
    assert level == "WARNING"
    assert text.startswith("0 of 4 targets are measured genes")
    assert "var['symbol'] has 3 of them" in text
    assert "screen.gene_symbols" in text
    assert "target_genes" not in screen.uns
    assert measured_target_genes(screen) == {"A": (), "B": (), "C": (), "drug": ()}


def test_symbols_find_targets_among_genes_of_other_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    screen = imported(tmp_path, raw_file(tmp_path, IDS, SYMBOLS), gene_symbols="symbol")
    assert messages(caplog)[0][1].startswith("3 of 4 targets are measured genes; not: drug")
    assert target_genes(screen) == {
        "A": ("ENSG0",),
        "B": ("ENSG1", "ENSG3"),  # two genes of one symbol
        "C": ("ENSG2",),
        "drug": ("drug",),
    }
    assert measured_target_genes(screen, ["A", "drug"]) == {"A": ("ENSG0",), "drug": ()}


def test_a_table_gives_genes_to_elements(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    table = table_of(
        tmp_path,
        "drug\tENSG5",
        "drug\tC",
        "drug\tUNMEASURED",
        "another's\tENSG7",
        "A\tENSG9",
    )
    raw = raw_file(tmp_path, IDS, SYMBOLS)
    screen = imported(tmp_path, raw, gene_symbols="symbol", target_genes=table)
    assert messages(caplog) == [("INFO", "4 of 4 targets are measured genes")]
    assert target_genes(screen)["drug"] == ("ENSG5", "ENSG2", "UNMEASURED")
    measured = measured_target_genes(screen)
    assert measured["drug"] == ("ENSG5", "ENSG2")
    assert measured["A"] == ("ENSG9",)
    assert targets_of_genes(measured)["ENSG2"] == ("C", "drug")
    assert set(screen.uns["target_genes"]["target"]) == {"A", "B", "C", "drug"}


def test_genes_of_their_own_names_need_no_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    genes = ["A", "B", "C", "drug", *(f"G{j}" for j in range(8))]
    screen = imported(tmp_path, raw_file(tmp_path, genes))
    assert messages(caplog) == [("INFO", "4 of 4 targets are measured genes")]
    assert not screen.uns
    assert target_genes(screen) == {name: (name,) for name in ("A", "B", "C", "drug")}


def test_no_target_is_a_gene_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    imported(tmp_path, raw_file(tmp_path))
    ((level, text),) = messages(caplog)
    assert level == "WARNING"
    assert "0 of 4" in text
    assert "screen.target_genes" in text


@pytest.mark.parametrize(
    ("rows", "header", "what"),
    [
        (["A\tG1"], "guide\tgene", "needs the columns target and gene"),
        (["A\tG1", "A\tG1"], "target\tgene", "rows are repeated"),
        (["A\t"], "target\tgene", "empty, or begins or ends with white space"),
        (["A \tG1"], "target\tgene", "empty, or begins or ends with white space"),
        (["nobody\tG1"], "target\tgene", "none of the table's targets is perturbed"),
    ],
)
def test_tables_that_cannot_be_meant(
    tmp_path: Path, rows: list[str], header: str, what: str
) -> None:
    with pytest.raises(InputError, match=what) as error:
        imported(
            tmp_path, raw_file(tmp_path), target_genes=table_of(tmp_path, *rows, header=header)
        )
    assert "screen.target_genes" in str(error.value)
    assert error.value.remedy


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_target_table(str(tmp_path / "absent.tsv"))


def test_a_column_of_symbols_that_is_not_there(tmp_path: Path) -> None:
    text = refused(tmp_path, raw_file(tmp_path, IDS, SYMBOLS), gene_symbols="symbols")
    assert "screen.gene_symbols" in text
    assert "did you mean 'symbol'" in text


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.sets(st.sampled_from("abcdeXYZ"), min_size=1)),
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=8),
)
def test_names_symbols_or_as_given(table: dict[str, set[str]], symbols: list[str]) -> None:
    genes = [f"id{j}" for j in range(len(symbols))] + ["X", "Y"]
    by_symbol = genes_by_symbol(pd.Series([*symbols, None, None]), genes)
    given_table = {target: tuple(sorted(own)) for target, own in table.items()}
    found = genes_of_targets("ABCDEX", genes, by_symbol, given_table)
    for target in "ABCDEX":
        own = set(found.get(target, (target,)))
        expected = set()
        for name in given_table.get(target, (target,)):
            ids = {f"id{j}" for j, symbol in enumerate(symbols) if symbol == name}
            expected |= ids or {name}
        assert own == expected
    assert "X" not in found
