"""Seconds that genetic interactions take, by pairs and genes.

python benchmarks/interactions.py
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from evaluation.interactions import measure_interaction


def main() -> None:
    """Measure pairs of the published size."""
    rng = np.random.default_rng(1)
    for genes, pairs in ((250, 20), (570, 20), (1000, 10)):
        changes = rng.standard_t(3, size=(pairs, 3, genes))
        start = time.perf_counter()
        for a, b, noise in changes:
            measure_interaction(a, b, 0.7 * a + 0.6 * b + 0.3 * noise)
        seconds = (time.perf_counter() - start) / pairs
        print(f"{genes} genes: {seconds:.3f} s a pair, {110 * seconds:.0f} s for 110 pairs")


if __name__ == "__main__":
    main()
