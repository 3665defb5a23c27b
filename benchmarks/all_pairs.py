"""Predictions of all pairs of a simulated screen against the truth, which its simulator knows.

``accuracy`` compares what LCD, SALT and linear models say of the pairs that were not measured with
the truth: interactions, calibration of the uncertainty, and how often the pair that is nearest to a
wanted profile is found. ``samplers`` compares ways to draw states, ``cost`` measures a panel of the
size of Norman et al. 2019 with generated weights.

    python benchmarks/all_pairs.py accuracy results/default --fits default default.seed2
    python benchmarks/all_pairs.py samplers results/default --fits default
    python benchmarks/all_pairs.py cost --threads 2

``accuracy`` and ``samplers`` need a run with the configuration of the default screen, in which
those fits to all conditions were made.
"""

import argparse
import itertools
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr, t
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from evaluation.interactions import measure_interaction
from lcd_core.conditions import multi_hot
from lcd_core.coupled_sampling import coupled_states, expected_expression, expected_fractions
from lcd_core.drift import Drift
from lcd_core.model import LCD
from lcd_core.settings import DriftSettings, SamplerSettings, StateSettings
from lcd_core.states import StateTransform
from methods.bilinear.model import fit_bilinear
from methods.fitted_additive.coefficients import fit_coefficients
from pipeline.config.config import Config, load_config
from pipeline.mean_changes import MeanChanges, read_mean_changes
from pipeline.panel import panel_table
from pipeline.predictions import control_rows
from pipeline.profiles import MEAN, Profiles, References
from pipeline.screen import CONTROL, lognorm, targets_of
from pipeline.seeds import derive_seed
from pipeline.tables import write_tsv
from predictions.predict_combinations import predict
from simulation.simulator import SimulatedScreen, simulate_rates, simulate_screen

ROOT = Path(__file__).resolve().parents[1]
Matrix = NDArray[np.float64]
Targets = tuple[str, ...]

MIN_COUNT = 0.5
MEASURED = 500
"""Pairs whose interaction is fitted by Theil-Sen, drawn with a seed; it is the slowest part."""

WISHES = 300
"""Pairs whose profile is wanted, drawn with a seed."""

WANTED_CELLS = 100


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = parser.add_subparsers(required=True)
    for name, run in (("accuracy", accuracy), ("samplers", samplers), ("cost", cost)):
        own = parts.add_parser(name)
        own.set_defaults(run=run)
        own.add_argument("--threads", type=int, default=2)
        own.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "tables")
        if name == "cost":
            own.add_argument("--pairs", type=int, default=200)
            own.add_argument("--states", type=int, default=100)
            own.add_argument("--device", default="cpu")
            continue
        own.add_argument("results", type=Path)
        own.add_argument("--fits", nargs="+", default=["default"])
        own.add_argument("--states", type=int, default=50)
        own.add_argument("--sampler", default="default", help="of the accuracy")
        own.add_argument("--cells", type=int, default=500, help="of each condition of the truth")
        own.add_argument("--truth", type=Path, help="file that keeps the truth between runs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


# --- the truth ------------------------------------------------------------------------------------


def screen_of(config: Config) -> SimulatedScreen:
    """The screen that a run of the default configuration simulates."""
    seed = derive_seed(config.seed, run=config.run, purpose="simulation")
    return simulate_screen(**config.simulation.model_dump(), seed=seed)


def truth_of(
    screen: SimulatedScreen, names: Sequence[str], cells: int, seed: int, kept: Path | None
) -> Profiles:
    """True mean expression and counts per 10,000 of conditions, from the same noise in all.

    They are read from a file, where it is given and there, and else written to it.
    """
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as found:
            assert found["names"].tolist() == list(names), f"{kept} is of other conditions"
            stored = {key: found[key] for key in (MEAN, "normalised", "half_difference")}
        return Profiles(list(names), list(screen.genes), stored)
    lost = torch.tensor(screen.lost)
    mean, normalised, half = [], [], []
    for name in tqdm(names, desc="truth"):
        rate = torch.tensor(simulate_rates(screen, targets_of(name), cells, seed=seed)).double()
        own = expected_expression(rate, lost)
        mean.append(own.mean(dim=0).numpy())
        half.append((own[::2].mean(dim=0) - own[1::2].mean(dim=0)).numpy() / 2)
        normalised.append(expected_fractions(rate, lost).mean(dim=0).numpy())
    values = {MEAN: np.stack(mean), "normalised": np.stack(normalised)}
    values["half_difference"] = np.stack(half)
    if kept is not None:
        np.savez(kept, allow_pickle=False, names=np.array(names), **values)
    return Profiles(list(names), list(screen.genes), values)


def require_same_screen(screen: SimulatedScreen, known: MeanChanges) -> None:
    """Refuse a run of another screen: of all others, totals would differ."""
    genes = [screen.genes.index(gene) for gene in known.cells.var_names]
    control = known.cells.X[control_rows(known.cells, "train")].toarray()
    simulated = screen.counts[screen.perturbations == CONTROL][:, genes]
    if (np.sort(control.sum(axis=1))[:, None] == simulated.sum(axis=1)).any(axis=1).mean() < 1:
        raise SystemExit("the run has another screen than the configuration simulates")


def only(profiles: Profiles, names: Sequence[str]) -> Profiles:
    """Some rows."""
    place = {name: i for i, name in enumerate(profiles.names)}
    rows = [place[name] for name in names]
    return Profiles(
        list(names), profiles.genes, {key: own[rows] for key, own in profiles.values.items()}
    )


# --- methods --------------------------------------------------------------------------------------


def predicted_by_lcd(
    model: LCD, names: Sequence[str], n_states: int, sampler: str, batch: int = 64
) -> Profiles:
    """Predictions of the workflow's own function."""
    found = [
        predict(model, names[i : i + batch], n_states, sampler, seed=1)
        for i in tqdm(range(0, len(names), batch), desc="LCD")
    ]
    values = {k: np.concatenate([own[k] for own in found]).astype(np.float64) for k in found[0]}
    return Profiles(list(names), model.genes, values)


def linear_models(known: MeanChanges) -> dict[str, Callable[[Targets], Matrix]]:
    """Changes that the linear baselines predict, as fitted to all conditions."""
    shared, own = fit_coefficients(known, shrinkage=1.0)
    place = {gene: i for i, gene in enumerate(known.cells.var_names)}
    targets = {target for name in known.changes.index for target in targets_of(name)}
    bilinear = fit_bilinear(
        known.changes.to_numpy(),
        [targets_of(name) for name in known.changes.index],
        {target: [place[target]] if target in place else [] for target in targets},
        dimensions=10,
        ridge=0.1,
    )

    def salt(pair: Targets) -> Matrix:
        return np.asarray(known.singles("+".join(pair)).sum(axis=0))

    def fitted(pair: Targets) -> Matrix:
        weights = [own.get(target, shared) for target in pair] if len(pair) > 1 else [1.0]
        return np.asarray(weights @ known.singles("+".join(pair)))

    return {"salt": salt, "fitted_additive": fitted, "bilinear": bilinear}


def normalised_of(known: MeanChanges, changes: Matrix) -> Matrix:
    """Mean counts per 10,000 of the control cells shifted by changes, as baselines predict."""
    cells = lognorm(known.cells.X[control_rows(known.cells, "train")]).astype(np.float64)
    shifted = [np.expm1(np.maximum(cells + change, 0)).mean(axis=0) for change in changes]
    return np.stack(shifted)


# --- accuracy -------------------------------------------------------------------------------------


def accuracy(arguments: argparse.Namespace) -> None:
    """Write the tables of accuracy, calibration and design."""
    config = load_config(yaml.safe_load((ROOT / "config/config.yaml").read_text()), "config")
    screen = screen_of(config)
    known = read_mean_changes(str(arguments.results / "folds/all/data/train.h5ad"))
    same = list(known.cells.var_names)  # of those simulated, in the order of the fits
    require_same_screen(screen, known)
    columns = [screen.genes.index(gene) for gene in same]
    targets = sorted(screen.fold_changes)
    pairs = ["+".join(pair) for pair in itertools.combinations(targets, 2)]
    unmeasured = [pair for pair in pairs if pair not in known.changes.index]
    names = [CONTROL, *targets, *pairs]
    truth = truth_of(screen, names, arguments.cells, 11, arguments.truth)
    values = {key: own[:, columns] for key, own in truth.values.items()}
    truth = Profiles(truth.names, same, values)
    true = References(truth)
    genes = np.asarray(known.cells.X.mean(axis=0)).ravel() >= MIN_COUNT
    rng = np.random.default_rng(3)
    chosen = sorted(rng.permutation(unmeasured)[:MEASURED].tolist())

    fits = [
        LCD.load(arguments.results / f"folds/all/lcd/{fit}/model/model.safetensors")
        for fit in arguments.fits
    ]
    own = [predicted_by_lcd(model, names, arguments.states, arguments.sampler) for model in fits]
    changes = {"lcd": np.mean([References(p).change(only(p, unmeasured)) for p in own], axis=0)}
    beyond = {"lcd": np.mean([References(p).beyond(only(p, unmeasured)) for p in own], axis=0)}
    magnitudes = {"lcd": np.mean([magnitude_of(p, chosen, genes) for p in own], axis=0)}
    for name, model in linear_models(known).items():
        predicted = np.stack([model(targets_of(pair)) for pair in unmeasured])
        single = {target: np.asarray(model((target,))) for target in targets}
        changes[name] = predicted
        beyond[name] = predicted - [sum(single[t] for t in targets_of(q)) for q in unmeasured]
        some = [unmeasured.index(pair) for pair in chosen]
        rows = np.stack([np.zeros(len(same)), *single.values(), *predicted[some]])
        shifted = Profiles(
            [CONTROL, *targets, *chosen], same, {"normalised": normalised_of(known, rows)}
        )
        magnitudes[name] = magnitude_of(shifted, chosen, genes)

    there = only(truth, unmeasured)
    tables = {
        "all_pairs_accuracy": accuracy_table(
            true.change(there), true.beyond(there), magnitude_of(truth, chosen, genes),
            changes, beyond, magnitudes,
        ),
        "all_pairs_calibration": calibration_table(true, there, own, unmeasured),
        "all_pairs_design": design_table(screen, columns, true.change(there), changes, unmeasured),
    }  # fmt: skip
    noise = np.linalg.norm(true.beyond(there, "half_difference"), axis=1)
    lengths = np.linalg.norm(true.beyond(there), axis=1)
    print(f"{len(unmeasured)} pairs; true non-additivity: median {np.median(lengths):.3f}, largest "
          f"{lengths.max():.3f}; of its noise {np.median(noise):.4f}; length of changes "
          f"{np.median(np.linalg.norm(true.change(there), axis=1)):.3f}")  # fmt: skip
    for name, table in tables.items():
        write_tsv(table, arguments.output / f"{name}.tsv")
        print(f"\n{name}\n{table.to_string(index=False)}")


def magnitude_of(profiles: Profiles, pairs: Sequence[str], genes: NDArray[np.bool_]) -> Matrix:
    """Magnitude of the interaction of pairs, against the singles of the same profiles."""
    own = References(profiles)
    both = own.change(only(profiles, pairs), "normalised")[:, genes]
    found = []
    for pair, ab in zip(pairs, both, strict=True):
        a, b = own.of_targets(targets_of(pair), "normalised")[:, genes]
        found.append(measure_interaction(a, b, ab).magnitude)
    return np.array(found)


def accuracy_table(
    change: Matrix,
    beyond: Matrix,
    magnitude: Matrix,
    changes: dict[str, Matrix],
    beyonds: dict[str, Matrix],
    magnitudes: dict[str, Matrix],
) -> pd.DataFrame:
    """One row per method."""
    lengths = np.linalg.norm(beyond, axis=1)
    rows = []
    for name, predicted in changes.items():
        own = np.linalg.norm(beyonds[name], axis=1)
        says = np.ptp(own) > 1e-9  # SALT says zero of every pair
        row: dict[str, object] = {
            "method": name,
            "pairs": len(own),
            "rmse_change": float(np.sqrt(((predicted - change) ** 2).mean())),
            "pearson_change": float(pearsonr(predicted.ravel(), change.ravel())[0]),
            "spearman_non_additivity": spearmanr(own, lengths)[0] if says else np.nan,
            "pearson_non_additivity": pearsonr(own, lengths)[0] if says else np.nan,
            "pearson_of_genes": pearsonr(beyonds[name].ravel(), beyond.ravel())[0]
            if says
            else np.nan,
            "rmse_non_additivity": float(np.sqrt(((beyonds[name] - beyond) ** 2).mean())),
            "spearman_magnitude": spearmanr(magnitudes[name], magnitude)[0],
            "pearson_magnitude": pearsonr(magnitudes[name], magnitude)[0],
            "pairs_magnitude": len(magnitude),
        }
        for most in (10, 50):
            top = set(np.argsort(-lengths)[:most])
            hits = len(top & set(np.argsort(-own)[:most])) / most if says else np.nan
            row |= {f"precision_{most}": hits, f"chance_{most}": most / len(own)}
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_table(
    true: References, there: Profiles, own: Sequence[Profiles], pairs: Sequence[str]
) -> pd.DataFrame:
    """How far the spread over fits tells the error."""
    rows = []
    for kind in ("change", "non_additivity"):
        by_fit = np.stack([
            References(p).change(only(p, pairs)) if kind == "change"
            else References(p).beyond(only(p, pairs))
            for p in own
        ])  # fmt: skip
        right = true.change(there) if kind == "change" else true.beyond(there)
        mean, n = by_fit.mean(axis=0), len(by_fit)
        error = np.linalg.norm(mean - right, axis=1)
        row: dict[str, object] = {"of": kind, "fits": n, "median_error": np.median(error)}
        if n > 1:
            sd = by_fit.std(axis=0, ddof=1)
            spread = np.linalg.norm(sd, axis=1)
            half = t.ppf(0.975, n - 1) * sd / np.sqrt(n)
            row |= {
                "median_spread": np.median(spread),
                "spearman_spread_error": spearmanr(spread, error)[0],
                "pearson_spread_error": pearsonr(spread, error)[0],
                "coverage_95": float((np.abs(mean - right) <= half).mean()),
                "coverage_2sd": float((np.abs(mean - right) <= 2 * sd).mean()),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def design_table(
    screen: SimulatedScreen,
    columns: Sequence[int],
    change: Matrix,
    changes: dict[str, Matrix],
    pairs: Sequence[str],
) -> pd.DataFrame:
    """How often the pair that is truly nearest to a wanted profile is among the first.

    Wanted are the true change of each pair, that change as 100 cells would show it (the pair itself
    is to be found), and the true change when the pair itself is not on offer (its neighbour is).
    """
    rng = np.random.default_rng(5)
    wishes = np.sort(rng.permutation(len(pairs))[:WISHES])
    noisy = []
    control = drawn(screen, (), 3 * WANTED_CELLS, rng)[:, columns].mean(axis=0)
    for wish in tqdm(wishes, desc="wanted"):
        cells = drawn(screen, targets_of(pairs[wish]), WANTED_CELLS, rng)[:, columns]
        noisy.append(cells.mean(axis=0) - control)
    rows = []
    numbers = np.arange(len(wishes))
    for measure in ("cosine", "distance"):
        for task, wanted in (
            ("itself", change[wishes]),
            ("itself, from 100 cells", np.stack(noisy)),
            ("neighbour", change[wishes]),
        ):
            right = wishes
            if task == "neighbour":
                of_truth = apart(wanted, change, measure)
                of_truth[numbers, wishes] = np.inf
                right = of_truth.argmin(axis=1)
            for name, predicted in changes.items():
                found = apart(wanted, predicted, measure)
                if task == "neighbour":
                    found[numbers, wishes] = np.inf
                rank = (found < found[numbers, right][:, None]).sum(axis=1) + 1
                rows.append({
                    "task": task, "nearest_by": measure, "method": name, "wishes": len(wishes),
                    "offers": len(pairs), "first": (rank == 1).mean(),
                    "among_five": (rank <= 5).mean(), "median_rank": np.median(rank),
                    "chance_five": 5 / len(pairs),
                })  # fmt: skip
    return pd.DataFrame(rows)


def drawn(screen: SimulatedScreen, targets: Targets, n: int, rng: np.random.Generator) -> Matrix:
    """Log-normalised expression of cells with their counting noise."""
    rate = simulate_rates(screen, targets, n, seed=int(rng.integers(2**31)))
    counts = rng.poisson(rate) * (rng.random(rate.shape) >= screen.lost)
    return lognorm(counts).astype(np.float64)


def apart(wanted: Matrix, offered: Matrix, measure: str) -> Matrix:
    """How far each offer is from each wish, (wishes, offers)."""
    if measure == "cosine":
        a = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
        b = offered / np.linalg.norm(offered, axis=1, keepdims=True)
        return np.asarray(1 - a @ b.T)
    squares = (wanted**2).sum(axis=1)[:, None] + (offered**2).sum(axis=1) - 2 * wanted @ offered.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


# --- samplers -------------------------------------------------------------------------------------

SAMPLERS: dict[str, SamplerSettings | None] = {
    "flow": None,
    "annealed, 1 a level": SamplerSettings(steps_per_level=1),
    "annealed, 2 a level": SamplerSettings(steps_per_level=2),
    "annealed, 5 a level": SamplerSettings(steps_per_level=5),
    "annealed, 10 a level": SamplerSettings(steps_per_level=10),
}
LONG = SamplerSettings(steps_per_level=20)
LONG_STATES = 800


def samplers(arguments: argparse.Namespace) -> None:
    """Write how far ways to draw states are from a long run with many states.

    Pairs of five targets. The error of a mean is the length over genes of its difference to the
    long run; once with random numbers in common, once with numbers of its own for each condition.
    """
    path = arguments.results / f"folds/all/lcd/{arguments.fits[0]}/model/model.safetensors"
    model = LCD.load(path)
    targets = sorted(model.targets)[:: max(1, len(model.targets) // 5)][:5]
    table = panel_table(list(itertools.combinations(targets, 2)), {}, 1)
    names = table["perturbation"].tolist()
    reference = means(model, names, LONG_STATES, LONG, seed=101, coupled=True)
    again = means(model, names, LONG_STATES, LONG, seed=102, coupled=True)
    rows = [
        error_row("annealed, 20 a level", LONG_STATES, True, again, reference, names, np.nan, 600)
    ]
    for label, settings in SAMPLERS.items():
        for states in (50, 100, 400):
            for coupled in (True, False):
                start = time.perf_counter()
                own = means(model, names, states, settings, seed=7, coupled=coupled)
                seconds = time.perf_counter() - start
                levels = len(model.drift.alphas)
                evaluations = levels + 1 if settings is None else levels * settings.steps_per_level
                rows.append(
                    error_row(label, states, coupled, own, reference, names, seconds, evaluations)
                )
                print(rows[-1], flush=True)
    found = pd.DataFrame(rows)
    write_tsv(found, arguments.output / "all_pairs_samplers.tsv")
    print(found.to_string(index=False))


def means(
    model: LCD,
    names: Sequence[str],
    states: int,
    settings: SamplerSettings | None,
    seed: int,
    *,
    coupled: bool,
) -> Profiles:
    """Expected expression of conditions."""
    membership = multi_hot([targets_of(name) for name in names], model.targets)
    found = []
    for i, row in enumerate(membership):
        own_seed = seed if coupled else derive_seed(seed, condition=i)
        drawn_states = coupled_states(
            model.drift, row[None], states, seed=own_seed, sampler=settings
        )
        rate = model.transform.rate(drawn_states[0])
        found.append(expected_expression(rate, model.pi).double().mean(dim=0).numpy())
    return Profiles(list(names), model.genes, {MEAN: np.stack(found)})


def error_row(
    label: str,
    states: int,
    coupled: bool,
    own: Profiles,
    reference: Profiles,
    names: Sequence[str],
    seconds: float,
    evaluations: int,
) -> dict[str, object]:
    """Errors of means, changes and non-additivity, medians over conditions or pairs."""
    pairs = [name for name in names if len(targets_of(name)) == 2]

    def beyond(profiles: Profiles) -> Matrix:
        return References(profiles).beyond(only(profiles, pairs))

    def change(profiles: Profiles) -> Matrix:
        return References(profiles).change(only(profiles, pairs))

    def median(difference: Matrix) -> float:
        return float(np.median(np.linalg.norm(difference, axis=1)))

    lengths = [np.linalg.norm(beyond(profiles), axis=1) for profiles in (own, reference)]
    return {
        "sampler": label,
        "evaluations": evaluations,
        "states": states,
        "common_numbers": coupled,
        "error_mean": median(own.values[MEAN] - reference.values[MEAN]),
        "error_change": median(change(own) - change(reference)),
        "error_non_additivity": median(beyond(own) - beyond(reference)),
        "non_additivity": float(np.median(lengths[1])),
        "pearson_lengths": float(pearsonr(*lengths)[0]),
        "seconds_per_condition": seconds / len(names),
    }


# --- cost -----------------------------------------------------------------------------------------


def cost(arguments: argparse.Namespace) -> None:
    """Seconds and memory of pairs at 1,000 genes and a width of 2,048, and of all 4,753."""
    genes, singles, everything = 1000, 98, 4753
    settings = DriftSettings(hidden=2048)
    drift = Drift(genes, singles, settings)
    drift.reset(torch.Generator().manual_seed(1))
    drift.to(arguments.device)
    names = [f"T{i}" for i in range(singles)]
    transform = StateTransform(
        StateSettings(transform="log_rate"),
        torch.full((genes,), 0.3), torch.ones(genes), torch.ones(genes), torch.full((genes,), 5.0),
    ).to(arguments.device)  # fmt: skip
    model = LCD([f"G{i}" for i in range(genes)], names, drift, transform, torch.zeros(genes))
    pairs = ["+".join(pair) for pair in itertools.combinations(names, 2)][: arguments.pairs]
    batch = max(1, 4096 // arguments.states)
    start = time.perf_counter()
    parts = []
    for i in tqdm(range(0, len(pairs), batch)):
        parts.append(predict(model, pairs[i : i + batch], arguments.states, "flow", seed=1))
    seconds = (time.perf_counter() - start) / len(pairs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    for _ in range(50):
        a, b, noise = rng.standard_t(3, size=(3, 200))
        measure_interaction(a, b, 0.7 * a + 0.6 * b + 0.3 * noise)
    interaction = (time.perf_counter() - start) / 50
    table = pd.DataFrame(
        [
            {
                "device": arguments.device,
                "threads": arguments.threads,
                "states": arguments.states,
                "pairs_timed": len(pairs),
                "seconds_per_pair": seconds,
                "gigaflops": 16.6e-3 * 31 * arguments.states / seconds,
                "hours_4753_pairs_one_fit": seconds * everything / 3600,
                "peak_memory_gib": memory,
                "interaction_seconds_per_pair": interaction,
                "minutes_interactions_4753": interaction * everything / 60,
            }
        ]
    )
    write_tsv(table, arguments.output / f"all_pairs_cost_{arguments.device}.tsv")
    print(table.T.to_string(header=False))


if __name__ == "__main__":
    main()
