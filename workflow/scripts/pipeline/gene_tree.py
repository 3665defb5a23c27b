"""Genes in the order of the tree of their effects, and the modules it is cut into."""

from collections.abc import Iterable
from typing import NamedTuple

from lcd_core.errors import InputError
from pipeline.tables import read_tsv

# Colours of Okabe and Ito 2008; modules are numbered along the tree, so that neighbours differ.
MODULE_COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
NO_MODULE = "#DCDCDC"


class Tree(NamedTuple):
    """Genes in the order of the leaves, and the module of each, 0 for none."""

    genes: list[str]
    module_of: dict[str, int]


def read_tree(order: str, genes: Iterable[str] | None = None) -> Tree:
    """Read the order of the leaves with their modules.

    Parameters
    ----------
    order
        TSV of the genes in the order of the tree.
    genes
        The genes that it has to be about, if they are known.

    Raises
    ------
    InputError
        If the tree is of other genes.
    """
    leaves = read_tsv(order, dtype={"gene": str, "module": "Int64"})
    names, modules = leaves["gene"].tolist(), leaves["module"].fillna(0).astype(int).tolist()
    if genes is not None and sorted(names) != sorted(genes):
        raise InputError(
            "the genes of the tree are not those of the effects",
            where=order,
            found=sorted(set(names).symmetric_difference(genes)),
            remedy="find the modules of these effects again",
        )
    return Tree(names, dict(zip(names, modules, strict=True)))


def module_colour(module: int) -> str:
    """Colour of a module, from 1; grey for none."""
    return MODULE_COLOURS[(module - 1) % len(MODULE_COLOURS)] if module > 0 else NO_MODULE
