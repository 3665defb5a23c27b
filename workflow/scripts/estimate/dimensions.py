"""How large the data of a run are: from what it has made, from its file, or from its simulation."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lcd_core.errors import InputError
from pipeline.config.config import Config
from pipeline.labels import canonical_names, listed
from pipeline.sampled_rows import some_rows
from pipeline.screen import CONTROL, targets_of
from pipeline.tables import read_tsv
from pipeline.user_files import UserFile, element, with_cells_table
from screen.import_screen import (
    cell_labels,
    cell_names,
    counts_key,
    dropped_cells,
    gene_names,
    kept_cells,
    read_table,
)


@dataclass(frozen=True)
class Dimensions:
    """Sizes that the time of a run depends on.

    Attributes
    ----------
    cells
        Cells of every condition, control included, after quality control as far as it is known.
    all_genes
        Genes that pass quality control.
    genes
        Genes that are modelled.
    source
        Where this comes from, in words.
    """

    cells: dict[str, int]
    all_genes: int
    genes: int
    source: str

    @property
    def conditions(self) -> int:
        """Number of conditions."""
        return len(self.cells)

    @property
    def combinations(self) -> list[str]:
        """Perturbations of several targets."""
        return [name for name in self.cells if len(targets_of(name)) > 1]

    @property
    def singles(self) -> list[str]:
        """Perturbations of one target."""
        return [name for name in self.cells if name != CONTROL and name not in self.combinations]

    @property
    def targets(self) -> int:
        """Number of targets."""
        return len({target for name in self.cells for target in targets_of(name)})

    @property
    def median_cells(self) -> int:
        """Median number of cells of a perturbation."""
        perturbed = [n for name, n in self.cells.items() if name != CONTROL]
        return int(np.median(perturbed)) if perturbed else 0

    def testable(self, config: Config) -> list[str]:
        """Combinations that are held out, over all folds."""
        singles = set(self.singles)
        own = [
            name
            for name in self.combinations
            if config.folds.unmeasured_singles == "test" or set(targets_of(name)) <= singles
        ]
        kept = max(0, len(own) - config.folds.tuning_doubles)
        return own[: min(kept, config.folds.max_test_doubles or kept)]


def dimensions(config: Config) -> Dimensions:
    """Sizes of a run.

    Raises
    ------
    InputError
        If the screen is yet to be downloaded, or its file is not as the configuration says.
    """
    results = Path(f"results/{config.run}/screen")
    count = config.genes.count
    if (results / "conditions.tsv").exists() and (results / "filtered.h5ad").exists():
        table = read_tsv(str(results / "conditions.tsv"), dtype={"perturbation": str})
        cells = dict(zip(table["perturbation"], map(int, table["n_cells"]), strict=True))
        with h5py.File(results / "filtered.h5ad", "r") as file:
            passing = int(np.ravel(file["X"].attrs["shape"])[1])
        source = "the screen of this run after quality control"
    elif config.screen.kind == "simulated":
        own = config.simulation
        names = [f"T{i}" for i in range(own.targets)]
        pairs = [f"{a}+{b}" for i, a in enumerate(names) for b in names[i + 1 :]][: own.doubles]
        cells = {CONTROL: own.control_cells}
        cells |= dict.fromkeys([*names, *pairs], own.cells_per_condition)
        passing, source = own.genes, "the settings of the simulation"
    else:
        cells, passing = of_file(config)
        source = f"labels and some cells of {file_of(config)}"
    return Dimensions(cells, passing, min(count or passing, passing), source)


def file_of(config: Config) -> str:
    """The file of the screen."""
    screen = config.screen
    return screen.path if screen.kind == "file" else f"downloads/{screen.download_name}"  # type: ignore[return-value]


def of_file(config: Config) -> tuple[dict[str, int], int]:
    """Cells of every condition and genes of a screen that is not imported yet.

    Cells that quality control would leave out are counted in.
    """
    screen, path = config.screen, file_of(config)
    if not Path(path).exists():
        raise InputError(
            "the size of the screen is not known before it is downloaded",
            where="screen.url",
            found=path,
            remedy=f"fetch it first: snakemake --cores 1 {path}, with your configuration",
        )
    with UserFile(path, screen.modality).parts() as (parts, place):
        obs = read_table(parts, "obs", place)
        key = counts_key(parts, screen.counts, place)
        var = read_table(parts, "raw/var" if key == "raw/X" else "var", place)
        rows = some_rows(element(parts, key), len(obs))
    seen = rows.getnnz(axis=0) * (len(obs) / max(1, rows.shape[0]))
    genes = gene_names(var, screen.gene_name_column, place)
    if screen.cells_table:
        obs = with_cells_table(obs.set_axis(cell_names(obs, place)), screen.cells_table, place)
    labels = cell_labels(obs, screen.perturbation_column, place)
    kept = kept_cells(obs, screen.keep, place)
    kept &= ~dropped_cells(labels, kept, screen.drop_labels, place)
    logging.disable(logging.WARNING)  # the import says it
    try:
        names = canonical_names(
            labels[kept], screen.control_label, listed(screen.separator), screen.ignore_labels,
            genes, place,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    least = config.quality_control.min_cells_per_perturbation or 1
    number: Counter[str] = Counter(names[label] for label in labels[kept])
    cells = {name: n for name, n in number.items() if name == CONTROL or n >= least}
    passing = int((seen >= (config.quality_control.min_cells_per_gene or 0)).sum())
    return cells, max(passing, 1)
