"""Sizes of a first configuration: settings as functions of the screen and of the machine.

On a GPU they are the published ones, as far as the screen is large enough for them; on CPU cores
those with which the small screens of ``docs/measurements.md`` were fitted well, growing with the
screen. No function returns a value that the configuration would refuse.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from pipeline.screen import CONTROL, targets_of

SHARE_OF_MEMORY = 0.25
"""Of the machine's memory that the states of one fit may take."""
FEWEST_CELLS = 4
"""Cells of a perturbation without which it cannot be evaluated (halves of two)."""
FEWEST_SINGLES = 3
"""Perturbations of one target without which no effects are looked for."""
CELL_BOUNDS = (100, 50, 30, 20, 10, FEWEST_CELLS)
"""Least numbers of cells of a perturbation that are tried; the published one first."""


@dataclass(frozen=True)
class Machine:
    """Where the run will be.

    Attributes
    ----------
    cores
        CPU cores.
    gpu
        Whether there is a CUDA device.
    memory
        Bytes of memory.
    """

    cores: int
    gpu: bool
    memory: int

    @classmethod
    def here(cls, cores: int | None = None, *, gpu: bool | None = None) -> "Machine":
        """This machine, or with other cores, or as if it had a GPU or none."""
        if gpu is None:
            import torch  # takes seconds to import

            gpu = torch.cuda.is_available()
        there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return cls(cores or there or 1, gpu, psutil.virtual_memory().total)


@dataclass(frozen=True)
class Panel:
    """What is perturbed in a screen, after the perturbations of too few cells are gone.

    Attributes
    ----------
    cells
        Cells of every condition by canonical name, control included.
    genes
        Genes that pass quality control.
    measured
        Targets that are measured genes.
    """

    cells: Mapping[str, int]
    genes: int
    measured: int

    @property
    def conditions(self) -> int:
        """Conditions, the control among them."""
        return len(self.cells)

    @property
    def singles(self) -> list[str]:
        """Perturbations of one target."""
        return [name for name in self.cells if name != CONTROL and len(targets_of(name)) == 1]

    @property
    def combinations(self) -> list[str]:
        """Perturbations of several targets."""
        return [name for name in self.cells if len(targets_of(name)) > 1]

    @property
    def with_singles(self) -> list[str]:
        """Combinations whose targets were all perturbed alone too."""
        singles = set(self.singles)
        return [name for name in self.combinations if set(targets_of(name)) <= singles]

    @property
    def targets(self) -> int:
        """Number of targets."""
        return len({target for name in self.cells for target in targets_of(name)})


def cells_per_perturbation(cells: Mapping[str, int]) -> int:
    """Least number of cells of a perturbation: published 100, less where that loses many.

    The largest of 100, 50, 30, 20, 10 and 4 that keeps nine tenths of the perturbations with 4
    cells or more, and the control; 4 is what an evaluation by halves needs.
    """
    numbers = [n for name, n in cells.items() if name != CONTROL and n >= FEWEST_CELLS]
    for bound in CELL_BOUNDS:
        kept = sum(n >= bound for n in numbers)
        if kept >= 0.9 * len(numbers) and bound <= cells[CONTROL]:
            return bound
    return FEWEST_CELLS


def cells_per_gene(cells: int, *, effects: bool) -> list[int]:
    """Least numbers of cells with a gene, the strictest first.

    Published 20, at most a fiftieth of all cells. Where effects are wanted 5% of the cells and 1%
    before that: counts say nothing about the states of a gene that is hardly ever seen.
    """
    least = max(1, min(20, cells // 50))
    strict = [cells // 20, cells // 100] if effects else []
    return [*(bound for bound in strict if bound > least), least]


def modelled_genes(panel: Panel, machine: Machine) -> int | None:
    """Number of genes to model; None for all, where there are no more than that.

    1,000 on a GPU, as published; 250 on CPU cores, 500 on eight or more. Measured targets are
    modelled first, so there are half as many again, up to 1,000.
    """
    wanted = 1000 if machine.gpu else 500 if machine.cores >= 8 else 250
    wanted = max(wanted, min(1000, panel.measured * 3 // 2))
    return None if panel.genes <= wanted else wanted


def prior(panel: Panel, genes: int, machine: Machine) -> dict[str, Any]:
    """Steps, learning rate, Monte Carlo states and temperature of the priors.

    Every step trains one condition. Published 250,000 for 237 conditions, about 1,000 each; on
    CPU cores 200 each with a larger learning rate, no fewer than 6,000 (docs/measurements.md) and
    no more than 50,000. Temperature 5 for up to 250 genes, whose log-likelihoods spread little.
    """
    if machine.gpu:
        steps = min(250_000, max(20_000, round(1000 * panel.conditions, -3)))
    else:
        steps = min(50_000, max(6_000, round(200 * panel.conditions, -2)))
    long = steps >= 100_000
    return {
        "steps": steps,
        "warmup_steps": 5000 if long else max(200, steps // 50),
        "learning_rate": 0.0003 if long else 0.001,
        "monte_carlo_states": 20_000 if machine.gpu else 300 if genes <= 100 else 500,
        "temperature": 5 if genes <= 250 else 20,
    }


def drift(panel: Panel, genes: int, machine: Machine) -> dict[str, Any]:
    """Width, dimensions of the embedding, states and steps of the drift.

    The embedding has at least as many dimensions as there are targets, or effects would not be
    resolved. States are all in memory: their number is such that those of all conditions take no
    more than a quarter of it.
    """
    needed = 2 ** math.ceil(math.log2(max(2, panel.targets)))
    room = SHARE_OF_MEMORY * machine.memory / (4 * genes * panel.conditions)
    samples = min(10_000 if machine.gpu else 4_000, max(200, int(room) // 100 * 100))
    if machine.gpu:
        return {
            "hidden": 2048 if panel.targets > 300 else 1024,
            "embedding_dimensions": max(1024, needed),
            "samples": samples,
            "steps": 50_000,
            "batch_states": 8192,
        }
    return {
        "hidden": 256 if genes <= 100 else 512,
        "embedding_dimensions": max(128, needed),
        "samples": samples,
        "steps": 4_000,
        "batch_states": 512,
    }


def folds(panel: Panel, machine: Machine) -> dict[str, Any] | None:
    """Folds of held-out combinations; None where there is nothing to hold out.

    Published 10; on fewer than eight cores 3. Each fold holds out one combination or more, and
    has one to train on: there are two folds at the least, and so two combinations to hold out.
    Combinations of targets that were never perturbed alone stay in training, unless without them
    less than a third would be left.
    """
    testable, choice = panel.with_singles, "refuse"
    if len(testable) < len(panel.combinations):
        choice = "train" if 3 * len(testable) >= len(panel.combinations) else "test"
    if choice == "test":
        testable = panel.combinations
    if len(testable) < 2:
        return None
    most = 10 if machine.gpu or machine.cores >= 8 else 3
    return {"count": min(most, len(testable)), "unmeasured_singles": choice}


def effects(panel: Panel, causes: int, machine: Machine) -> dict[str, Any] | None:
    """Seeds and folds of held-out causes; None with fewer than three perturbations of one target.

    Each seed and each fold is a fit. Published 1 seed and 5 folds; here a second seed says how
    much effects vary, and a fold holds out four causes or more.
    """
    if len(panel.singles) < FEWEST_SINGLES:
        return None
    most = 5 if machine.gpu else 2
    return {"seeds": 2, "held_out_folds": min(most, causes // 4)}
