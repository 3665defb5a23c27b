"""Files of a linear system with known truth, its samples, and the wildcards that name it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lcd_core.files import load_tensors, save_tensors
from simulation.linear_systems import LinearSystem

SYSTEM, EFFECTS = "linear system", "set of effects"
"""Kinds of files."""

IDENTITY = ["structure", "genes", "percent", "n_perturbed", "system", "sigma"]
"""Columns that say which system a row of a table is about."""


def gene_names(d: int) -> list[str]:
    """Names of the genes of a system, which has none of its own."""
    return [f"gene_{index}" for index in range(d)]


def write_system(system: LinearSystem, path: str | Path, metadata: dict[str, Any]) -> None:
    """Write a system with its metadata.

    They hold ``samples_per_condition`` and ``sample_seed``: samples are drawn anew where
    they are needed, since those of a large system take most of a gigabyte.
    """
    tensors = {
        "effects": torch.from_numpy(system.effects),
        "bias": torch.from_numpy(system.bias),
        "targets": torch.from_numpy(system.targets),
        "shifts": torch.from_numpy(system.shifts),
    }
    save_tensors(path, SYSTEM, tensors, {**metadata, "sigma": system.sigma})


def read_system(path: str | Path) -> tuple[LinearSystem, dict[str, Any]]:
    """System and metadata that :func:`write_system` wrote; an unstable A is refused."""
    tensors, metadata = load_tensors(path, SYSTEM)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return LinearSystem(**arrays, sigma=metadata["sigma"]), metadata


def draw_samples(system: LinearSystem, metadata: dict[str, Any]) -> NDArray[np.float32]:
    """Draw the samples of all conditions, control first, (k + 1, n, d); each time the same."""
    return system.sample(
        metadata["samples_per_condition"], metadata["sample_seed"], dtype=np.float32
    )


def identity(system: LinearSystem, metadata: dict[str, Any]) -> dict[str, Any]:
    """Values of the columns :data:`IDENTITY`."""
    own = {**metadata, "n_perturbed": len(system.targets), "sigma": system.sigma}
    return {column: own[column] for column in IDENTITY}
