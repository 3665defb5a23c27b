"""Time everything that costs time, against written-out references and the machine's floor.

    python benchmarks/run_all.py --size small        # minutes; `make benchmarks`
    python benchmarks/run_all.py --size full         # the published sizes beside them

Writes ``benchmarks/results/<size>_<device>.tsv``, a description of the machine beside it, and
``docs/performance.md`` with its figures from all tables that are there.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import torch

from benchmarks.suite.cases import cases
from benchmarks.suite.harness import (
    Case,
    Cost,
    in_own_process,
    machine,
    measure_here,
    measure_rates,
)
from benchmarks.suite.page import write_page
from lcd_core.atomic import atomic

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"


def measured(case: Case, device: str, threads: int, rates: dict[str, float]) -> dict[str, object]:
    """Time both forms of a case; a row of the table."""
    limits = (device, case.repeats, case.seconds)
    own: Cost = in_own_process(measure_here, threads, case.prepare, *limits)
    other: Cost | None = None
    if case.reference is not None:
        other = in_own_process(measure_here, threads, case.reference, *limits)
    floor = case.work.seconds(rates)
    return {
        "curve": case.curve,
        "what": case.what,
        "sizes": ", ".join(f"{name} {value}" for name, value in case.sizes.items()),
        "size": case.sizes.get(case.curve),
        "seconds": own.seconds,
        "least_seconds": own.least,
        "repeats": own.repeats,
        "gib": own.gib,
        "reference": case.against if other else "",
        "reference_seconds": other.seconds if other else None,
        "reference_gib": other.gib if other else None,
        "speed_ratio": other.seconds / own.seconds if other else None,
        "floor_seconds": floor or None,
        "above_floor": own.seconds / floor if floor else None,
    }


def main() -> None:
    """Measure, write the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="cases whose name contains one of these")
    parser.add_argument("--output", type=Path, help="folder of the table; no page is written")
    arguments = parser.parse_args()
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking for a GPU must not spoil forks
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.monotonic()
    rates = in_own_process(measure_rates, arguments.threads, device)
    rows = []
    for case in cases(arguments.size):
        if arguments.only and not any(name in case.what for name in arguments.only):
            continue
        rows.append(measured(case, device, arguments.threads, rates))
        print(_line(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    description = machine(device, arguments.threads)
    description |= {"seconds": round(time.monotonic() - start), "per_second": rates}
    if arguments.only:
        description["only"] = arguments.only
    folder = arguments.output or RESULTS
    name = f"{arguments.size}_{device}"
    with atomic(folder / f"{name}.tsv") as path:
        table.to_csv(path, sep="\t", index=False, float_format="%.4g")
    with atomic(folder / f"{name}.json") as path:
        path.write_text(json.dumps(description, indent=2) + "\n")
    if arguments.output is None and not arguments.only:
        write_page(RESULTS, ROOT / "docs")


def _line(row: dict[str, object]) -> str:
    parts = [f"{row['what']} ({row['sizes']}): {row['seconds']:.3g} s"]
    if row["speed_ratio"] is not None:
        parts.append(f"{row['speed_ratio']:.2g} times as fast as {row['reference']}")
    if row["above_floor"] is not None:
        parts.append(f"{row['above_floor']:.2g} times the floor")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
