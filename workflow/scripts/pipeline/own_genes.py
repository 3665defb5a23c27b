"""What perturbations did to their own genes, in words."""

import pandas as pd

from pipeline.figures import number_text


def own_genes_in_words(table: pd.DataFrame, perturbation: str) -> str:
    """Write each own gene of a perturbation with its log2 fold change and status.

    Parameters
    ----------
    table
        TSV of :mod:`screen.summarise_perturbations`.
    perturbation
        Name of the perturbation.
    """
    own = table[table["perturbation"] == perturbation]
    parts = []
    for row in own.itertuples():
        change = row.log2_fold_change
        moved = "" if pd.isna(change) else f" log2 fold change {number_text(change, '+.2f')},"
        parts.append(f"{row.gene}{moved} {row.status}")
    return "; ".join(parts)
