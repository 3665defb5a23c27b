"""The differential expression of a screen as one self-contained HTML page for the report."""

import pandas as pd

from pipeline.figures import number_text
from pipeline.html_tables import Column, count, number, page, section, table, text, write_page
from pipeline.tables import read_tsv

PERTURBATIONS = [
    Column("perturbation", "Perturbation", text, True),
    Column("n_cells", "Cells", count),
    Column("n_de", "DE genes", count),
    Column("n_up", "Up", count),
    Column("n_down", "Down", count),
    Column("own", "Own genes: log2 fold change", text, True),
    Column("own_p", "Their adjusted P", number),
    Column("status", "Own genes", text, True),
    Column("top_genes", "Strongest DE genes", text, True),
]
OWN_GENES = [
    Column("target", "Target", text, True),
    Column("perturbation", "Perturbation", text, True),
    Column("gene", "Gene", text, True),
    Column("n_cells", "Cells", count),
    Column("log2_fold_change", "Log2 fold change", number),
    Column("p_value", "P", number),
    Column("p_adjusted", "Adjusted P", number),
    Column("status", "Status", text, True),
    Column("removed_by", "Removed by", text, True),
]


def main(*, perturbations: str, targets: str, tables_page: str, alpha: float) -> None:
    """Write the page.

    Parameters
    ----------
    perturbations, targets
        TSV of :mod:`summarise_perturbations`.
    tables_page
        HTML page to write.
    alpha
        False discovery rate below which a gene is differentially expressed.
    """
    names = {"perturbation": str, "target": str, "gene": str, "top_genes": str}
    own = read_tsv(targets, dtype=names)
    rows = with_own_genes(read_tsv(perturbations, dtype=names), own)
    content = page(
        "Differential expression",
        "Every perturbation against the control cells. Click a heading to sort; long tables can "
        "be searched and paged through.",
        [
            section(
                "Perturbations",
                f"DE: adjusted P below {alpha:g}, Mann-Whitney U; most DE genes first",
                table(PERTURBATIONS, rows),
            ),
            section(
                "Own genes",
                "what each perturbation did to the genes of its targets",
                table(OWN_GENES, own),
            ),
        ],
    )
    write_page(content, tables_page)


def with_own_genes(rows: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Add what the perturbations did to their own genes; order by number of genes."""
    own = own.assign(
        own=[
            gene if pd.isna(change) else f"{gene} {number_text(change, '+.2f')}"
            for gene, change in zip(own["gene"], own["log2_fold_change"], strict=True)
        ]
    )
    grouped = own.groupby("perturbation")
    about = pd.DataFrame(
        {
            "own": grouped["own"].agg(", ".join),
            "own_p": grouped["p_adjusted"].max(),  # the least certain of several
            "status": grouped["status"].agg(lambda each: ", ".join(dict.fromkeys(each))),
        }
    )
    rows = rows.assign(n_de=rows["n_up"] + rows["n_down"]).join(about, on="perturbation")
    return rows.sort_values("n_de", ascending=False, kind="stable", ignore_index=True)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
