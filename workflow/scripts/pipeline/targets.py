"""Which genes the targets of a screen stand for, from the user's table and from symbols of genes.

What is found here at the import goes along with the cells, where ``pipeline.screen.target_genes``
reads it.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from lcd_core.errors import InputError, shown
from pipeline.screen import TargetGenes
from pipeline.tables import read_user_table

COLUMNS = ["target", "gene"]


def read_target_table(path: str) -> TargetGenes:
    """Read the user's table of targets and genes.

    Parameters
    ----------
    path
        TSV with the columns ``target`` and ``gene``; a target with several genes has several rows.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, or has an empty or repeated row.
    """
    where = f"{path} (screen.target_genes)"
    remedy = "give a tab-separated table with the columns target and gene, a gene a row"
    table = read_user_table(path, COLUMNS, "the table of targets", where, remedy)
    blank = ((table == "") | (table != table.apply(lambda column: column.str.strip()))).any(axis=1)
    for what, wrong in (
        ("a target or gene is empty, or begins or ends with white space", blank),
        ("rows are repeated", table.duplicated()),
    ):
        if wrong.any():
            raise InputError(
                what,
                where=where,
                found=(
                    f"line {at}: {[own[:40] for own in table.loc[at]]}" for at in table.index[wrong]
                ),
                remedy=remedy,
            )
    return {str(target): tuple(own) for target, own in table.groupby("target")["gene"]}


def genes_of_targets(
    targets: Iterable[str],
    genes: Collection[str],
    symbols: Mapping[str, tuple[str, ...]],
    table: TargetGenes,
) -> TargetGenes:
    """Genes of every target that is not simply a gene, or no gene, of its own name.

    Parameters
    ----------
    targets
        Targets of the screen.
    genes
        Names of the measured genes.
    symbols
        Names of the measured genes by symbol.
    table
        Names or symbols of the genes of targets, from the user's table.
    """
    found = {}
    for target in targets:
        named = table.get(target, (target,))
        own = [
            name
            for gene in named
            for name in ((gene,) if gene in genes else symbols.get(gene, (gene,)))
        ]
        if own != [target]:
            found[target] = tuple(dict.fromkeys(own))
    return found


def genes_by_symbol(symbols: pd.Series, genes: Iterable[str]) -> TargetGenes:
    """Return the genes of each symbol; a symbol of several genes means all of them."""
    named = pd.Series(list(genes), index=symbols.astype(object).to_numpy())
    named = named[named.index.notna()]
    return {str(symbol): tuple(own) for symbol, own in named.groupby(level=0)}


def report_targets(
    targets: Collection[str], genes: Collection[str], mapped: TargetGenes, var: pd.DataFrame
) -> None:
    """Log how many targets are measured genes, and where in ``var`` the names of others are.

    Parameters
    ----------
    targets
        Targets of the screen.
    genes
        Names of the measured genes.
    mapped
        Genes of targets that are not of their own name.
    var
        Table of the genes as the user has it.
    """
    unknown = [t for t in targets if not any(gene in genes for gene in mapped.get(t, (t,)))]
    n_known = len(targets) - len(unknown)
    text = f"{n_known} of {len(targets)} targets are measured genes"
    if not unknown:
        logging.info("%s", text)
        return
    text += f"; not: {shown(unknown)}"
    names = {name for target in unknown for name in mapped.get(target, (target,))}
    columns = {column: len(names & set(var[column].astype(str))) for column in var.columns}
    best = max(columns, key=lambda column: columns[column], default=None)
    if best is not None and columns[best]:
        logging.warning(
            "%s. var[%r] has %d of them: set screen.gene_symbols to %s",
            text,
            best,
            columns[best],
            best,
        )
    elif n_known:
        logging.info("%s. Elements, guides and the like get genes by screen.target_genes", text)
    else:
        logging.warning(
            "%s. Whether a perturbation moved its own gene cannot be said, and effects of genes "
            "cannot be tested; elements, guides and the like get genes by screen.target_genes",
            text,
        )
