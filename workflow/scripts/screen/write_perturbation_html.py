"""One perturbation of a screen: its own genes and its differentially expressed ones, on request."""

import anndata as ad
import pandas as pd

from lcd_core.errors import InputError
from pipeline.differential_expression import read_differential_expression, tidy
from pipeline.file_names import file_name
from pipeline.html_tables import Column, count, number, page, section, table, text, write_page
from pipeline.tables import read_tsv

FEWEST_GENES = 50
"""Genes listed of a perturbation that changes fewer."""

GENES = [
    Column("rank", "Rank", count),
    Column("gene", "Gene", text, True),
    Column("log2_fold_change", "Log2 fold change", number),
    Column("auroc", "AUROC", number),
    Column("p_value", "P", number),
    Column("p_adjusted", "Adjusted P", number),
    Column("changed", "DE", text, True),
]
OWN_GENES = [
    Column("target", "Target", text, True),
    Column("gene", "Gene", text, True),
    Column("log2_fold_change", "Log2 fold change", number),
    Column("p_value", "P", number),
    Column("p_adjusted", "Adjusted P", number),
    Column("status", "Status", text, True),
]


def main(*, tests: str, targets: str, tables_page: str, perturbation: str, alpha: float) -> None:
    """Write the page.

    Parameters
    ----------
    tests
        Differential expression of the screen.
    targets
        TSV of :mod:`summarise_perturbations`.
    tables_page
        HTML page to write.
    perturbation
        Its name, as the name of the page has it (:func:`pipeline.file_names.file_name`).
    alpha
        False discovery rate below which a gene is differentially expressed.

    Raises
    ------
    InputError
        If there is no such perturbation.
    """
    found = read_differential_expression(tests)
    pages = {file_name(name): name for name in found.obs_names.astype(str)}
    if perturbation not in pages:
        meant = file_name(perturbation)
        hint = f"its page is {meant}.html; " if meant in pages else ""
        raise InputError(
            f"there is no perturbation {perturbation!r} in the screen",
            where=tests,
            found=pages,
            remedy=f"{hint}ask for one of these; targets of a combination are sorted and joined by "
            "+",
        )
    perturbation = pages[perturbation]
    own = read_tsv(targets, dtype={"target": str, "gene": str, "perturbation": str})
    own = own[own["perturbation"] == perturbation]
    genes = ranked_genes(found, perturbation, alpha)
    n_cells = int(found.obs.loc[perturbation, "n_cells"])
    n_changed = int((genes["changed"] == "yes").sum())
    content = page(
        perturbation,
        f"{n_cells:,} cells against the control; {n_changed:,} of {found.n_vars:,} genes are "
        f"differentially expressed (adjusted P below {alpha:g}, Mann-Whitney U).",
        [
            section("Own genes", "what it did to the genes of its targets", table(OWN_GENES, own)),
            section("Genes", f"all DE genes, and the first {FEWEST_GENES}", table(GENES, genes)),
        ],
    )
    write_page(content, tables_page)


def ranked_genes(tests: ad.AnnData, perturbation: str, alpha: float) -> pd.DataFrame:
    """All differentially expressed genes by rank, and others up to a number of them."""
    one = tests[[perturbation]]
    rows = tidy(one).assign(log2_fold_change=one.layers["log2_fold_change"].ravel())
    rows["changed"] = ["yes" if p < alpha else "no" for p in rows["p_adjusted"]]
    shown = (rows["changed"] == "yes") | (rows["rank"] <= FEWEST_GENES)
    return rows[shown].sort_values("rank", ignore_index=True)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
