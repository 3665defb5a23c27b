"""One perturbation with its cells: control, predicted by each method, and observed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.looks import Looks
from pipeline.own_genes import own_genes_in_words
from pipeline.predictions import PredictedCells, labels_of, read_prediction
from pipeline.screen import CONTROL, lognorm, read_screen, targets_of
from pipeline.tables import read_tsv

OBSERVED = "observed"
BOXED = 20
"""Genes whose cells are drawn."""


@dataclass(frozen=True)
class Perturbation:
    """What is known of one perturbation.

    Attributes
    ----------
    name, fold
        Its name, and the fold that holds it out.
    tests
        Differential expression, indexed by gene: ``rank``, ``p_adjusted``.
    cells
        Log-normalised expression by source, cells x all modelled genes: control, methods in the
        order of display, and observed. Of a profile there is one row, the mean.
    profiles
        Sources of which there is a mean alone.
    own
        What it did to its own genes, one line.
    """

    name: str
    fold: str
    tests: pd.DataFrame
    cells: dict[str, pd.DataFrame]
    profiles: frozenset[str] = frozenset()
    own: str = ""

    @property
    def methods(self) -> list[str]:
        """Sources that are predictions."""
        return [name for name in self.cells if name not in (CONTROL, OBSERVED)]

    @property
    def n_cells(self) -> int:
        """Observed cells."""
        return len(self.cells[OBSERVED])

    def changes(self) -> pd.DataFrame:
        """Mean expression less that of the control, genes x sources."""
        means = {name: frame.mean(axis=0) for name, frame in self.cells.items()}
        return pd.DataFrame(
            {name: own - means[CONTROL] for name, own in means.items() if name != CONTROL}
        )

    def shown_genes(self) -> list[str]:
        """Perturbed genes that are modelled, then others by their rank."""
        ranked = self.tests.sort_values("rank").index.tolist()
        targets = [target for target in targets_of(self.name) if target in self.tests.index]
        return targets + [gene for gene in ranked[:BOXED] if gene not in targets]


def sources_of(
    perturbation: str,
    control: pd.DataFrame,
    test: "TestCells",
    predictions: Mapping[str, PredictedCells],
) -> tuple[dict[str, pd.DataFrame], frozenset[str]]:
    """Cells of every source, in the order of the predictions, and which are profiles."""
    cells, profiles = {CONTROL: control}, set()
    for method, predicted in predictions.items():
        if predicted.predicted([perturbation]):
            values = predicted.lognorm(predicted.rows(perturbation))
            cells[method] = pd.DataFrame(values, columns=control.columns)
            if not predicted.has_cells:
                profiles.add(method)
    cells[OBSERVED] = test.of(perturbation)
    return cells, frozenset(profiles)


@dataclass(frozen=True)
class TestCells:
    """Held-out cells of a fold, log-normalised perturbation by perturbation."""

    counts: object
    labels: NDArray[np.str_]
    genes: pd.Index

    @classmethod
    def of_screen(cls, screen: object) -> "TestCells":
        """Take the cells of a screen."""
        return cls(screen.X, labels_of(screen), screen.var_names)  # type: ignore[attr-defined, arg-type]

    def of(self, perturbation: str) -> pd.DataFrame:
        """Cells x genes of one perturbation."""
        rows = np.flatnonzero(self.labels == perturbation)
        return pd.DataFrame(lognorm(self.counts[rows]), columns=self.genes)  # type: ignore[index]


def perturbations_of(
    fold: str,
    wanted: Sequence[str],
    train: str,
    test: str,
    differential_expression: str,
    predictions: Mapping[str, str],
    values: Mapping[str, str | None],
    looks: Looks,
    own_genes: pd.DataFrame,
) -> Iterator[Perturbation]:
    """Yield the perturbations of one fold, its files read once."""
    if not wanted:
        return
    tests = read_tsv(differential_expression, dtype={"perturbation": str, "gene": str})
    by_name = {str(name): own.set_index("gene") for name, own in tests.groupby("perturbation")}
    trained = read_screen(train)
    observed = TestCells.of_screen(read_screen(test))
    control = pd.DataFrame(
        lognorm(trained.X[labels_of(trained) == CONTROL]), columns=trained.var_names
    )
    read: dict[str, PredictedCells] = {
        method: read_prediction(predictions[method], trained.var_names, wanted, values[method])
        for method in looks.in_order(predictions)
    }
    for name in wanted:
        cells, profiles = sources_of(name, control, observed, read)
        words = own_genes_in_words(own_genes, name)
        yield Perturbation(name, fold, by_name[name], cells, profiles, words)
