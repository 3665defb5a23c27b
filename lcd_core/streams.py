"""Named streams of random numbers: no two of a job overlap, and equal names give equal streams.

torch takes seconds to import, and is imported where one of its streams is asked for.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream(seed: int, *labels: object, device: "str | torch.device" = "cpu") -> "torch.Generator":
    """Random stream of a seed and a name, on a device.

    Parameters
    ----------
    seed
        Seed of the job.
    labels
        What the stream is for, such as ``"drift", "noise"``.
    device
        Where the numbers are drawn.
    """
    import torch

    return torch.Generator(device).manual_seed(_hash(seed, labels))


def numpy_stream(seed: int, *labels: object) -> np.random.Generator:
    """The same for NumPy; its numbers have nothing to do with those of :func:`stream`."""
    return np.random.default_rng(_hash(seed, labels))


def seed_of(seed: int, *labels: object) -> int:
    """Seed of a part of a job, such as one of several perturbations, by its name."""
    return _hash(seed, labels)


def _hash(seed: int, labels: tuple[object, ...]) -> int:
    """63 bits that depend on the arguments alone, on every machine.

    The low 32 decide a stream of torch on a CPU, which takes no more.
    """
    text = "\x1f".join(map(str, (seed, *labels)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
