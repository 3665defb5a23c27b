"""The page with the tables of the causal effects."""

import pandas as pd
import pytest

from effects import write_effects_html
from pipeline.tables import write_tsv


@pytest.fixture
def files(tmp_path):
    tables = {
        "edges": {
            "rank": [1, 2, 3],
            "cause": ["A", "B<1>", "C"],
            "effect": ["B<1>", "A", "A"],
            "value": [-2.5, 1.25, 0.5],
            "perturbed": [True, True, False],
        },
        "validated_edges": {
            "rank": [1, 2],
            "cause": ["A", "B<1>"],
            "effect": ["B<1>", "A"],
            "value": [-2.5, 1.25],
            "observed_lfc": [0.75, 0.125],
            "p_adjusted": [0.001, 0.5],
            "validated": [True, False],
        },
        "validation": {
            "fraction": [0.001],
            "n_causes": [2],
            "k": [4],
            "n_validated": [3],
            "probability": [0.75],
            "low": [0.3],
            "high": [0.95],
            "base_rate": [0.25],
            "lift": [3.0],
            "conviction": [float("inf")],
            "p_value": [0.01],
        },
    }
    for name, table in tables.items():
        write_tsv(pd.DataFrame(table), tmp_path / f"{name}.tsv")
    return {name: str(tmp_path / f"{name}.tsv") for name in tables}


def rows_of(page: str, title: str) -> list[list[str]]:
    """Text of the cells of the table below a heading."""
    part = page.split(f"<h2>{title}</h2>")[1].split("</table>")[0]
    body = part.split("<tbody>")[1]
    return [
        [cell.split(">", 1)[1].split("</td>")[0] for cell in row.split("<td")[1:]]
        for row in body.split("<tr>")[1:]
    ]


def test_effects_stand_beside_what_was_observed(files, tmp_path) -> None:
    write_effects_html.main(**files, tables_page=str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert rows_of(page, "The strongest effects") == [
        ["1", "A", "B&lt;1&gt;", "−2.500", "0.7500", "0.001000", "yes"],
        ["2", "B&lt;1&gt;", "A", "1.250", "0.1250", "0.5000", "no"],
        ["3", "C", "A", "0.5000", "–", "–", "not testable"],
    ]
    assert "Gene sets" not in page
    assert "Recovery" not in page


def test_held_out_causes_gene_sets_and_recovery_are_shown_where_there_are_any(
    files, tmp_path
) -> None:
    terms = {
        "module": [1], "collection": ["c2"], "term": ["TERM"], "module_size": [5],
        "term_size": [6], "overlap": [4], "odds_ratio": [9.5], "p_value": [1e-5],
        "p_adjusted": [1e-3], "genes": ["A;C"],
    }  # fmt: skip
    recovery = {
        "estimator": ["lcd_clipr", "lcd_clipr_seed_1", "chance"],
        "pairs": ["all"] * 3,
        "metric": ["precision@k"] * 3,
        "k": [50] * 3,
        "value": [0.5, 0.4, 0.1],
        "base_rate": [0.1] * 3,
    }
    write_tsv(pd.DataFrame(terms), tmp_path / "terms.tsv")
    write_tsv(pd.DataFrame(recovery), tmp_path / "recovery.tsv")
    write_effects_html.main(
        **files,
        held_out_validation=files["validation"],
        top_terms=str(tmp_path / "terms.tsv"),
        recovery=str(tmp_path / "recovery.tsv"),
        tables_page=str(tmp_path / "page.html"),
    )
    page = (tmp_path / "page.html").read_text()
    shares = rows_of(page, "Validation by differential expression")
    assert [row[:3] for row in shares] == [["all", "0.1%", "4"], ["held out", "0.1%", "4"]]
    assert shares[0][6] == "0.300 to 0.950"
    assert rows_of(page, "Gene sets of the modules")[0][-1] == "A;C"
    assert rows_of(page, "Recovery of the truth") == [
        ["lcd_clipr", "all", "precision@50", "0.5000", "0.1000"],
        ["chance", "all", "precision@50", "0.1000", "0.1000"],
    ]
