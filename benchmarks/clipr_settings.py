"""What limits LCD-CLIPR on linear systems: AUROC when one setting at a time is changed.

Starts from one set of settings and changes each in turn. What needs no training (noise level,
ridge, solver) is varied on the fit of the starting settings. Rows are written as they come, and
medians over systems are printed at the end:

    python benchmarks/clipr_settings.py --output clipr_settings.tsv
    python benchmarks/clipr_settings.py --only level_alpha ridge --start steps=8000 hidden=1024
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from evaluation.effect_scores import score_effects
from lcd_core.drift import Drift
from lcd_core.estimators import estimate_effects
from lcd_core.linearisation import nearest_level
from lcd_core.responses import initial_responses, limit_responses
from lcd_core.score_matching import fit_drift
from lcd_core.settings import DriftSettings, StateSettings
from lcd_core.solvers import AndersonSolver, FlowSolver
from lcd_core.states import StateTransform
from simulation.linear_systems import STRUCTURES, random_linear_system, reference_estimates

START = {
    "scaling": "covariance",
    "steps": 3000,
    "hidden": 128,
    "embedding_dimensions": 128,
    "weight_decay": 0.3,
    "learning_rate": 1e-3,
    "batch_states": 512,
    "parameterization": "plain",
    "draws": "mixed/mixed",
    "samples": 200,
    "level_alpha": 0.3,
    "origin": "control_mean",
    "level_of_v": None,
    "level_of_l": None,
    "ridge": None,
    "solver": "anderson",
}
ALPHAS = [0.01, 0.04, 0.067, 0.15, 0.3, 0.5, 1.0]
CHANGES = {
    "level_alpha": ALPHAS,
    "origin": ["zero"],
    "level_of_v": ALPHAS,
    "level_of_l": ALPHAS,
    "ridge": [0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0],
    "solver": ["flow:20", "flow:100"],
    "scaling": ["standard_deviation"],
    "steps": [1000, 6000],
    "hidden": [64, 256, 512],
    "embedding_dimensions": [32, 64, 512],
    "weight_decay": [0.0, 0.1, 1.0, 3.0],
    "learning_rate": [3e-4, 3e-3],
    "batch_states": [256, 1024],
    "parameterization": ["linear_pull"],
    "draws": ["single/mixed", "mixed/single", "single/single"],
    "samples": [50, 400],
}
TRAINING_FREE = ("level_alpha", "origin", "level_of_v", "level_of_l", "ridge", "solver")
COLUMNS = [
    "structure", "genes", "perturbed", "system", "sigma", "setting", "value", "auroc", "f1",
    "correlation_of_limits", "unconverged", "evaluations", "loss", "training_seconds",
    "response_seconds",
]  # fmt: skip


def train(system, own, seed, device):
    """Drift in double precision, its units, the last loss and the seconds of training."""
    states = torch.from_numpy(system.sample(own["samples"], seed, dtype=np.float32))
    k, d = len(system.targets), states.shape[2]
    transform = StateTransform.fit(
        states, states[0], torch.ones(d), StateSettings(scaling=own["scaling"])
    )
    conditions, levels = own["draws"].split("/")
    settings = DriftSettings(
        hidden=own["hidden"],
        embedding_dimensions=own["embedding_dimensions"],
        parameterization=own["parameterization"],
        steps=own["steps"],
        learning_rate=own["learning_rate"],
        weight_decay=own["weight_decay"],
        batch_states=own["batch_states"],
        conditions_per_batch=conditions,
        levels_per_batch=levels,
    )
    drift = Drift(d, k, settings).to(device)
    membership = torch.cat([torch.zeros(1, k), torch.eye(k)])
    start = time.perf_counter()
    log = fit_drift(drift, transform.forward(states).to(device), membership, seed=seed)
    seconds = time.perf_counter() - start
    return drift.double(), transform.units, log.rows[-1]["loss"], seconds


def estimate(system, drift, units, own):
    """Scores of LCD-CLIPR and how the limits converged."""
    alphas = drift.alphas.tolist()
    of_v, of_l = (
        nearest_level(alphas, own[name] or own["level_alpha"])
        for name in ("level_of_v", "level_of_l")
    )
    kind, _, steps = own["solver"].partition(":")
    solver = FlowSolver(1.0, int(steps)) if kind == "flow" else AndersonSolver()
    membership = torch.eye(len(system.targets))
    origin = units.mean if own["origin"] == "control_mean" else torch.zeros_like(units.mean)
    units = units.seen_from(origin)
    truth = system.means[1:].T - origin.numpy()[:, None]
    start = time.perf_counter()
    v = initial_responses(drift, membership, units, level=of_v)
    limits = limit_responses(drift, membership, units, level=of_l, solver=solver)
    seconds = time.perf_counter() - start
    effects = estimate_effects(v, limits.limits, own["ridge"]).effects
    scores = score_effects(effects, system.effects)
    return {
        "auroc": scores["auroc"],
        "f1": scores["f1"],
        "correlation_of_limits": np.corrcoef(limits.limits.ravel(), truth.ravel())[0, 1],
        "unconverged": int((~limits.converged).sum()),
        "evaluations": float(np.median(limits.evaluations)),
        "response_seconds": seconds,
    }


def experiments(system, start, only, seed, device):
    """Rows of one system: the starting settings, then every change; then the comparators."""

    def measured(setting, value, own, fitted):
        drift, units, loss, seconds = fitted
        row = {"setting": setting, "value": value, "loss": loss, "training_seconds": seconds}
        return row | estimate(system, drift, units, own)

    fitted = train(system, start, seed, device)
    yield measured("start", "", start, fitted)
    for setting in only:
        for value in CHANGES[setting]:
            own = {**start, setting: value}
            if own == start:
                continue
            again = fitted if setting in TRAINING_FREE else train(system, own, seed, device)
            yield measured(setting, value, own, again)
    for reference in reference_estimates(system, system.sample(start["samples"], seed)):
        scores = score_effects(reference.effects, system.effects)
        row = {"setting": "comparator", "value": reference.name}
        yield row | {"auroc": scores["auroc"], "f1": scores["f1"]}


def parse_start(pairs):
    """Starting settings with the changes of the command line, each of the default's type."""
    start = dict(START)
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in START:
            raise SystemExit(f"no setting {name}; there are {', '.join(START)}")
        default = START[name]
        start[name] = type(default)(text) if default is not None else float(text)
    return start


def main():
    """Write one row per system and change, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genes", type=int, default=100)
    parser.add_argument("--perturbed", type=int, help="all genes if not given")
    parser.add_argument("--links-per-gene", type=int, default=10)
    parser.add_argument("--systems", type=int, nargs="+", default=[1, 2, 3], help="numbers")
    parser.add_argument("--structures", nargs="+", choices=STRUCTURES, default=STRUCTURES)
    parser.add_argument("--only", nargs="*", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--start", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("clipr_settings.tsv"))
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    start = parse_start(a.start)
    perturbed = a.genes if a.perturbed is None else a.perturbed
    rows = []
    with a.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", restval="NA")
        writer.writeheader()
        for structure in a.structures:
            for number in a.systems:
                system = random_linear_system(
                    a.genes, perturbed, structure, number, links_per_gene=a.links_per_gene
                )
                named = {"structure": structure, "genes": a.genes, "perturbed": perturbed}
                named |= {"system": number, "sigma": f"{system.sigma:.6g}"}
                for row in experiments(system, start, a.only, number, a.device):
                    rows.append(named | row)
                    numbers = {k: f"{v:.6g}" for k, v in row.items() if isinstance(v, float)}
                    writer.writerow(named | row | numbers)
                    file.flush()
    print("start: " + ", ".join(f"{name}={value}" for name, value in start.items()))
    print(f"{'setting':22s} {'value':32s}" + "".join(f"{s:>16s}" for s in a.structures))
    for setting, value in dict.fromkeys((row["setting"], row["value"]) for row in rows):
        medians = [
            np.median(
                [
                    row["auroc"]
                    for row in rows
                    if (row["setting"], row["value"], row["structure"]) == (setting, value, s)
                ]
            )
            for s in a.structures
        ]
        print(f"{setting:22s} {value!s:32s}" + "".join(f"{m:16.4f}" for m in medians))


if __name__ == "__main__":
    main()
