"""The page with the tables of the causal effects."""

import pandas as pd
import pytest

from effects import write_effects_html
from pipeline.tables import write_tsv

VALIDATION = {
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
    "null_probability": [0.5],
    "null_p_value": [0.125],
    "n_signed": [2],
    "sign_agreement": [0.5],
}


@pytest.fixture
def files(tmp_path):
    tables = {
        "edges": {
            "rank": [1, 2, 3],
            "cause": ["A", "B<1>", "C"],
            "effect": ["B<1>", "A", "A"],
            "value": [-2.5, 1.25, 0.5],
            "score": [-5.0, 4.0, 3.0],
        },
        "untestable_edges": {
            "rank": [1],
            "cause": ["D"],
            "effect": ["A"],
            "value": [-8.0],
            "score": [-9.0],
        },
        "validated_edges": {
            "rank": [1, 2],
            "cause": ["A", "B<1>"],
            "effect": ["B<1>", "A"],
            "value": [-2.5, 1.25],
            "score": [-5.0, 4.0],
            "observed_lfc": [0.75, 0.125],
            "own_lfc": [-2.0, 0.5],
            "p_adjusted": [0.001, 0.5],
            "validated": [True, False],
            "sign_agrees": [False, None],
            "target_status": ["down", "did not move"],
        },
        "validation": VALIDATION,
    }
    for name, table in tables.items():
        write_tsv(pd.DataFrame(table), tmp_path / f"{name}.tsv")
    return {name: str(tmp_path / f"{name}.tsv") for name in tables}


def written(files, folder, **changes):
    """The page, with other tables in place of some."""
    for name, table in changes.items():
        write_tsv(pd.DataFrame(table), folder / f"{name}.tsv")
    paths = {name: str(folder / f"{name}.tsv") for name in changes}
    write_effects_html.main(**(files | paths), tables_page=str(folder / "page.html"))
    return (folder / "page.html").read_text()


def headings_of(page: str, title: str) -> list[str]:
    """Headings of the table below a heading."""
    part = page.split(f"<h2>{title}</h2>")[1].split("</thead>")[0]
    return [cell.split(">", 1)[1].split("</th>")[0] for cell in part.split("<th ")[1:]]


def rows_of(page: str, title: str) -> list[list[str]]:
    """Text of the cells of the table below a heading."""
    part = page.split(f"<h2>{title}</h2>")[1].split("</table>")[0]
    body = part.split("<tbody>")[1]
    return [
        [cell.split(">", 1)[1].split("</td>")[0] for cell in row.split("<td")[1:]]
        for row in body.split("<tr>")[1:]
    ]


PERTURBED = "The strongest effects of perturbed genes"
NEVER_PERTURBED = "The strongest effects of genes that were never perturbed"
VALIDATED = "Validation by differential expression"


def test_effects_stand_beside_what_was_observed(files, tmp_path) -> None:
    page = written(files, tmp_path)
    assert rows_of(page, PERTURBED) == [
        ["1", "A", "B&lt;1&gt;", "−2.500", "−5.000", "0.7500", "−2.000", "0.001000", "yes", "no",
         "down"],
        ["2", "B&lt;1&gt;", "A", "1.250", "4.000", "0.1250", "0.5000", "0.5000", "no", "not known",
         "did not move"],
        ["3", "C", "A", "0.5000", "3.000", "–", "–", "–", "not testable", "not known", ""],
    ]  # fmt: skip
    assert "Gene sets" not in page
    assert "Recovery" not in page


def test_effects_of_genes_never_perturbed_stand_apart(files, tmp_path) -> None:
    page = written(files, tmp_path)
    assert rows_of(page, NEVER_PERTURBED) == [["1", "D", "A", "−8.000", "−9.000"]]
    assert "Validated" not in headings_of(page, NEVER_PERTURBED)
    assert "D" not in {row[1] for row in rows_of(page, PERTURBED)}


def test_uncertainty_is_shown_where_there_is_any(files, tmp_path) -> None:
    known = {
        "low": [-3.5, 1.0, -0.5], "high": [-1.5, 1.5, 1.5], "error": [0.5, 0.1, 0.5],
        "resolution": [1.0, 0.9, 0.25], "sd": [0.1, 0.2, 0.3], "sign_agreement": [1.0, 0.75, 0.5],
    }  # fmt: skip
    edges = pd.read_csv(files["edges"], sep="\t").assign(**known)
    page = written(files, tmp_path, edges=edges)
    headings = headings_of(page, PERTURBED)
    rows = [dict(zip(headings, row, strict=True)) for row in rows_of(page, PERTURBED)]
    assert [row["95% from"] for row in rows] == ["−3.500", "1.000", "−0.5000"]
    assert [row["to"] for row in rows] == ["−1.500", "1.500", "1.500"]
    assert [row["Selected"] for row in rows] == ["100%", "90%", "25%"]
    assert [row["Same sign"] for row in rows] == ["100%", "75%", "50%"]
    assert [row["SD over fits"] for row in rows] == ["0.1000", "0.2000", "0.3000"]
    assert headings_of(page, NEVER_PERTURBED) == ["Rank", "Cause", "Gene affected", "Effect",
                                                  "Score"]  # fmt: skip


def test_validation_shows_the_null_within_causes_and_the_signs(files, tmp_path) -> None:
    page = written(files, tmp_path)
    (row,) = rows_of(page, VALIDATED)
    shown = dict(zip(headings_of(page, VALIDATED), row, strict=True))
    assert shown["P(DE | cause)"] == "0.7500"
    assert shown["Conviction"] == "∞"
    assert shown["Within causes"] == "0.5000"
    assert shown["P within causes"] == "0.1250"
    assert shown["Signs known"] == "2"
    assert shown["Signs agree"] == "50%"


def test_a_screen_without_testable_edges_has_a_page(files, tmp_path) -> None:
    empty = {name: pd.read_csv(files[name], sep="\t").head(0) for name in files}
    page = written(
        files, tmp_path, edges=empty["edges"], validation=empty["validation"],
        validated_edges=empty["validated_edges"],
    )  # fmt: skip
    assert rows_of(page, PERTURBED) == []
    assert rows_of(page, VALIDATED) == []
    assert len(rows_of(page, NEVER_PERTURBED)) == 1


def test_perturbed_genes_of_which_none_was_tested(files, tmp_path) -> None:
    nothing = pd.read_csv(files["validated_edges"], sep="\t").head(0)
    page = written(files, tmp_path, validated_edges=nothing)
    assert [row[-3:] for row in rows_of(page, PERTURBED)] == [["not testable", "not known", ""]] * 3


def test_held_out_causes_gene_sets_and_recovery_are_shown_where_there_are_any(
    files, tmp_path
) -> None:
    terms = {
        "module": [1], "collection": ["c2"], "term": ["TERM"], "module_size": [5],
        "term_size": [6], "overlap": [4], "odds_ratio": [9.5], "p_value": [1e-5],
        "p_adjusted": [1e-3], "genes": ["A;C"],
    }  # fmt: skip
    recovery = {
        "estimator": ["direct_effects", "direct_effects_seed_1", "chance"],
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
    shares = rows_of(page, VALIDATED)
    assert [row[:3] for row in shares] == [["all", "0.1%", "4"], ["held out", "0.1%", "4"]]
    assert shares[0][6] == "0.300 to 0.950"
    assert rows_of(page, "Gene sets of the modules")[0][-1] == "A;C"
    assert rows_of(page, "Recovery of the truth") == [
        ["direct_effects", "all", "precision@50", "0.5000", "0.1000"],
        ["chance", "all", "precision@50", "0.1000", "0.1000"],
    ]
