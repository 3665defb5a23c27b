"""Quality control: remove genes, cells and perturbations that hold too little or look wrong."""

import logging
from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.errors import InputError, shown
from pipeline.screen import (
    CONTROL,
    EFFECTIVE_LIBRARY_SIZE,
    SEPARATOR,
    read_screen,
    target_genes,
    targets_of,
    targets_of_genes,
    write_h5ad,
)
from pipeline.size_factors import effective_library_sizes, largest_shares
from pipeline.tables import write_tsv


def main(
    *,
    screen: str,
    filtered: str,
    table: str,
    conditions: str,
    removed_genes: str,
    min_cells_per_gene: int | None,
    min_genes_per_cell: int | None,
    min_cells_per_perturbation: int | None,
    mitochondrial_prefix: str,
    max_mitochondrial_percent: float | None,
    min_counts: int | None,
    max_counts: int | None,
    min_genes: int | None,
    max_genes: int | None,
    size_factors: str,
    dominant_percent: float,
) -> None:
    """Filter a screen and write what each step removed; None switches a step off.

    Genes in too few cells go first, then cells with too few genes, then outlying cells, then
    perturbations, so that every perturbation left has the cells it should; genes that are
    constant over the cells left go last. Bounds are inclusive. Counts and the mitochondrial share
    of a cell are taken over all genes of the imported screen, its number of genes over those left
    by the first step. The library sizes of the cells left are corrected if size factors other
    than the total are asked for.

    Parameters
    ----------
    screen
        The imported screen.
    filtered
        The screen to write.
    table
        TSV to write: step, setting, unit, before, removed, after.
    conditions
        TSV to write: perturbation, n_targets, n_cells, singles_measured.
    removed_genes
        TSV to write: gene, step, n_cells, targets.
    min_cells_per_gene, min_genes_per_cell, min_cells_per_perturbation
        Least number of cells, genes and cells.
    mitochondrial_prefix
        How the names of mitochondrial genes begin.
    max_mitochondrial_percent
        Largest share of a cell's counts in mitochondrial genes.
    min_counts, max_counts, min_genes, max_genes
        Bounds on a cell's counts and number of genes with counts.
    size_factors
        What makes cells comparable; see :mod:`pipeline.size_factors`.
    dominant_percent
        Share of the counts of a condition above which a gene is warned about.

    Raises
    ------
    InputError
        If the size factors are not defined, or a step leaves no cells, no genes, no control or no
        perturbations.
    """
    cells = read_screen(screen)
    steps = Filter(cells, screen)
    n_counts = cells.obs["library_size"].to_numpy(dtype=np.float64)

    if min_cells_per_gene is not None:
        in_cells = cells.X.getnnz(axis=0)
        steps.keep_genes("min_cells_per_gene", min_cells_per_gene, in_cells >= min_cells_per_gene)
    n_genes = cells.X[:, steps.genes].getnnz(axis=1)
    if min_genes_per_cell is not None:
        steps.keep_cells("min_genes_per_cell", min_genes_per_cell, n_genes >= min_genes_per_cell)
    if max_mitochondrial_percent is not None:
        percent = mitochondrial_percent(cells, mitochondrial_prefix, n_counts, screen)
        steps.keep_cells(
            "max_mitochondrial_percent",
            max_mitochondrial_percent,
            percent <= max_mitochondrial_percent,
        )
    if min_counts is not None:
        steps.keep_cells("min_counts", min_counts, n_counts >= min_counts)
    if max_counts is not None:
        steps.keep_cells("max_counts", max_counts, n_counts <= max_counts)
    if min_genes is not None:
        steps.keep_cells("min_genes", min_genes, n_genes >= min_genes)
    if max_genes is not None:
        steps.keep_cells("max_genes", max_genes, n_genes <= max_genes)
    if min_cells_per_perturbation is not None:
        steps.keep_perturbations(min_cells_per_perturbation)

    kept = cells[steps.cells, steps.genes].copy()
    constant = is_constant(kept.X)
    steps.drop_constant_genes(constant, kept.var_names[constant])
    if constant.any():
        kept = kept[:, ~constant].copy()
    kept.obs["perturbation"] = kept.obs["perturbation"].cat.remove_unused_categories()
    set_library_sizes(kept, cells[steps.cells], size_factors, dominant_percent, screen)

    targets = targets_of_genes(target_genes(kept))
    removed = steps.removed_genes(cells.var_names, cells.X.getnnz(axis=0), targets)
    warn_of_targets(removed)
    write_tsv(removed, removed_genes)
    write_tsv(condition_table(kept.obs["perturbation"]), conditions)
    write_tsv(steps.table(), table)
    write_h5ad(kept, filtered)


def mitochondrial_percent(
    cells: ad.AnnData, prefix: str, n_counts: NDArray[np.float64], screen: str
) -> NDArray[np.float64]:
    """Return each cell's share of counts in mitochondrial genes, in percent."""
    genes = cells.var_names.str.startswith(prefix)
    if not genes.any():
        raise InputError(
            f"no gene begins with {prefix!r}, so there is no mitochondrial share to limit",
            where=f"{screen}, var_names",
            found=cells.var_names,
            remedy="correct quality_control.mitochondrial_prefix, or set "
            "quality_control.max_mitochondrial_percent to null",
        )
    counts = np.asarray(cells.X[:, genes].sum(axis=1, dtype=np.int64), dtype=np.float64).ravel()
    # Multiplied first: a share of exactly the bound is then exactly that, and passes.
    return np.divide(100 * counts, n_counts, out=np.zeros_like(counts), where=n_counts > 0)


def set_library_sizes(
    kept: ad.AnnData, cells: ad.AnnData, size_factors: str, dominant_percent: float, screen: str
) -> None:
    """Correct the library sizes of the cells kept, and warn of genes that hold much of them.

    Parameters
    ----------
    kept
        Cells and genes kept, which get ``obs["effective_library_size"]``, unless it is the total.
    cells
        The same cells with all genes of the imported screen.
    size_factors, dominant_percent, screen
        As in :func:`main`.
    """
    dominant = largest_shares(cells, dominant_percent)
    n_conditions = kept.obs["perturbation"].nunique()
    if len(dominant):
        held = (
            f"{gene} ({percent:.0f} % in {where}, above the bound in {n_above} of {n_conditions} "
            "conditions)"
            for gene, where, percent, n_above in dominant.itertuples(index=False)
        )
        text = f"genes with more than {dominant_percent:g} % of all counts: {shown(held)}"
        if size_factors == "total":
            logging.warning(
                "%s; scaled by its total, a cell with less of such a gene seems to have more of "
                "all others: consider another choice of quality_control.size_factors",
                text,
            )
        else:
            logging.info("%s; quality_control.size_factors is %s", text, size_factors)
    if size_factors != "total":
        kept.obs[EFFECTIVE_LIBRARY_SIZE] = effective_library_sizes(
            cells, size_factors, list(dominant["gene"]), screen
        )


def warn_of_targets(removed: pd.DataFrame) -> None:
    """Warn of genes that are targets and were removed, by name."""
    own = removed.dropna(subset="targets")
    for step, genes in own.groupby("step", sort=False):
        numbers = zip(genes["gene"], genes["n_cells"], strict=True)
        logging.warning(
            "%s removed %d genes that are targets of the screen, whose own change is then unknown "
            "and which cannot be modelled: %s",
            step,
            len(genes),
            shown(f"{gene} (in {n} cells)" for gene, n in numbers),
        )


def is_constant(counts: sparse.csr_matrix) -> NDArray[np.bool_]:
    """Return which genes (columns) have the same count in every cell."""
    lowest, highest = (counts.min(axis=0).toarray(), counts.max(axis=0).toarray())
    return (lowest == highest).ravel()


def condition_table(perturbations: pd.Series) -> pd.DataFrame:
    """One row per condition: control, then by number of targets and name."""
    n_cells = perturbations.astype(str).value_counts()
    names = sorted(n_cells.index, key=lambda name: (len(targets_of(name)), name))
    singles = {name for name in names if len(targets_of(name)) == 1}
    return pd.DataFrame(
        {
            "perturbation": names,
            "n_targets": [len(targets_of(name)) for name in names],
            "n_cells": [n_cells[name] for name in names],
            "singles_measured": [len(singles.intersection(targets_of(name))) for name in names],
        }
    )


class Filter:
    """Which cells and genes are left, and the record of the steps that left them.

    Parameters
    ----------
    cells
        The imported screen.
    where
        Its path, for messages.
    """

    def __init__(self, cells: ad.AnnData, where: str) -> None:
        self.where = where
        self.labels = cells.obs["perturbation"].to_numpy(dtype=str)
        self.cells = np.ones(cells.n_obs, dtype=bool)
        self.genes = np.ones(cells.n_vars, dtype=bool)
        self.n_genes = cells.n_vars
        self._removed_by = np.full(cells.n_vars, "", dtype=object)
        self._steps: list[dict[str, object]] = []

    def keep_genes(self, step: str, setting: float | None, passes: NDArray[np.bool_]) -> None:
        """Keep the genes that pass."""
        before = self.n_genes
        self._removed_by[self.genes & ~passes] = step
        self.genes &= passes
        self.n_genes = int(self.genes.sum())
        self._record(step, setting, "genes", before, self.n_genes)
        self._require("genes", step, setting, before, self.n_genes)

    def keep_cells(self, step: str, setting: float | None, passes: NDArray[np.bool_]) -> None:
        """Keep the cells that pass."""
        before = self.cells.copy()
        self.cells = before & passes
        self._record(step, setting, "cells", before.sum(), self.cells.sum())
        for kind, members in (
            ("cells", np.ones_like(before)),
            ("control cells", self.labels == CONTROL),
            ("perturbed cells", self.labels != CONTROL),
        ):
            n_before = int((before & members).sum())
            self._require(kind, step, setting, n_before, int((self.cells & members).sum()))

    def keep_perturbations(self, least: int) -> None:
        """Keep the conditions with at least ``least`` of the cells that are left."""
        names, n_cells = np.unique(self.labels[self.cells], return_counts=True)
        few = names[n_cells < least]
        n_perturbations = int((names != CONTROL).sum())
        step = "min_cells_per_perturbation"
        after = n_perturbations - int((few != CONTROL).sum())
        self._record(step, least, "perturbations", n_perturbations, after)
        logging.info("perturbations in fewer than %d cells: %s", least, ", ".join(few) or "none")
        self.keep_cells(step, least, ~np.isin(self.labels, few))

    def drop_constant_genes(self, constant: NDArray[np.bool_], names: pd.Index) -> None:
        """Drop genes that are constant over the cells left; they can tell nothing."""
        if len(names):
            logging.info("genes with the same count in every cell: %s", ", ".join(names[:100]))
        passes = self.genes.copy()
        passes[np.flatnonzero(self.genes)[constant]] = False
        self.keep_genes("constant_genes", None, passes)

    def _require(
        self, kind: str, step: str, setting: float | None, before: int, after: int
    ) -> None:
        if after > 0:
            return
        if step == "constant_genes":
            remedy = "check the counts: every gene has one and the same count in all cells"
        else:
            remedy = f"loosen quality_control.{step}, or set it to null to switch it off"
        raise InputError(
            f"quality control leaves no {kind}",
            where=self.where,
            found=f"{step} {'' if setting is None else setting} removed the last {before} {kind}; "
            f"steps so far: {self._summary()}",
            remedy=remedy,
        )

    def _summary(self) -> str:
        return "; ".join(
            f"{row['step']} removed {row['removed']} of {row['before']} {row['unit']}"
            for row in self._steps
        )

    def _record(self, step: str, setting: float | None, unit: str, before: int, after: int) -> None:
        removed = int(before) - int(after)
        self._steps.append(
            {
                "step": step,
                "setting": setting,
                "unit": unit,
                "before": int(before),
                "removed": removed,
                "after": int(after),
            }
        )
        logging.info("%s: %d of %d %s removed", step, removed, before, unit)

    def removed_genes(
        self,
        names: pd.Index,
        n_cells: NDArray[np.integer],
        targets: Mapping[str, tuple[str, ...]],
    ) -> pd.DataFrame:
        """One row per gene that was removed: by which step, in how many cells it was."""
        table = pd.DataFrame(
            {
                "gene": names,
                "step": self._removed_by,
                "n_cells": n_cells,
                "targets": [SEPARATOR.join(targets.get(gene, ())) or None for gene in names],
            }
        )
        return table[~self.genes]

    def table(self) -> pd.DataFrame:
        """One row per step that is switched on, and what remains of everything."""
        names, left = np.unique(self.labels), np.unique(self.labels[self.cells])
        for unit, before, after in (
            ("cells", len(self.cells), self.cells.sum()),
            ("genes", len(self.genes), self.n_genes),
            ("perturbations", len(names) - (CONTROL in names), len(left) - (CONTROL in left)),
        ):
            self._record("all", None, unit, before, after)
        return pd.DataFrame(self._steps)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
