"""How well the prior and the drift of a fold reproduce the training conditions."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from evaluation.metrics import score
from lcd_core.model import LCD
from lcd_core.prior import ImplicitPriors
from lcd_core.streams import numpy_stream, stream
from methods.lcd.sampling import sampler_of
from pipeline.devices import choose_device
from pipeline.screen import CONTROL, counts_by_condition, lognorm, read_screen, targets_of
from pipeline.seeds import derive_seed
from pipeline.tables import read_tsv, write_tsv

METRICS = ["mmd_top_de", "mmd_all"]
QUANTILES = {
    "minimum": 0.0,
    "q01": 0.01,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q99": 0.99,
    "maximum": 1.0,
}


def main(
    *,
    train: str,
    differential_expression: str,
    prior: str,
    model: str,
    settings: str,
    table: str,
    gene_table: str,
    state_table: str,
    check_cells: int,
    top_genes: int,
    seed: int,
    device: str,
) -> None:
    """Write three tables.

    Parameters
    ----------
    train, differential_expression
        Training cells and the tests of the training perturbations.
    prior, model
        The fitted priors and the fitted model.
    settings
        JSON with the section `sampling`.
    table
        Distance to the observed cells of every training condition: of cells generated from the
        prior, of cells generated from the diffusion, of control cells, and of one half of the
        observed cells to the other.
    gene_table
        Posterior-predictive check of the priors: observed and generated mean, variance and
        fraction of zeros of every gene in every condition.
    state_table
        Quantiles of standardised states over all conditions, as the priors give them and as the
        diffusion reproduces them.
    check_cells
        Cells generated per condition.
    """
    screen = read_screen(train)
    counts = counts_by_condition(screen)
    place = choose_device(device)
    priors = ImplicitPriors.load(prior)
    fitted = LCD.load(model, place)
    transform = fitted.transform.to("cpu")  # once: each copy factorises a whole scale anew
    expression = {q: lognorm(y) for q, y in counts.items()}
    control_mean = expression[CONTROL].mean(axis=0)
    tests = read_tsv(differential_expression, dtype={"perturbation": str, "gene": str})
    tests = tests[tests["rank"] <= top_genes]
    training_mean = np.mean([e.mean(axis=0) for q, e in expression.items() if q != CONTROL], axis=0)

    annealing = sampler_of(settings)
    distances, checks, prior_states, drift_states = [], [], [], []
    for q, observed in counts.items():
        job_seed = derive_seed(seed, perturbation=q)
        generator = stream(job_seed, "prior")
        s = transform.forward(priors.sample_states(q, check_cells, generator))
        from_prior = priors.sample_counts(q, check_cells, generator).numpy()
        if not fitted.has_measurement:  # what the prior would be in coordinates of expression
            s = transform.forward(torch.from_numpy(lognorm(from_prior)))
        prior_states.append(s)
        s = fitted.sample_states(targets_of(q), check_cells, seed=job_seed, sampler=annealing)
        drift_states.append(s.cpu())
        measured = fitted.measure(s, seed=job_seed).cpu().numpy()
        from_drift = lognorm(measured) if fitted.has_measurement else measured
        checks.append(genes_of(q, screen.var_names, observed, from_prior))
        if q == CONTROL:
            continue
        order = numpy_stream(job_seed, "halves").permutation(len(observed))
        half = len(observed) // 2
        top = screen.var_names.get_indexer(tests.loc[tests["perturbation"] == q, "gene"])
        pairs = {
            "prior": (lognorm(from_prior), expression[q]),
            "lcd": (from_drift, expression[q]),
            "control": (expression[CONTROL], expression[q]),
            "halves": (expression[q][order[:half]], expression[q][order[half:]]),
        }
        for source, (predicted, reference) in pairs.items():
            values = score(predicted, reference, control_mean, training_mean, top, METRICS)
            distances += [(q, source, metric, value) for metric, value in values.items()]

    columns = ["perturbation", "source", "metric", "value"]
    write_tsv(pd.DataFrame(distances, columns=columns), table)
    write_tsv(pd.concat(checks, ignore_index=True), gene_table)
    parts = [
        quantile_table("prior", screen.var_names, torch.cat(prior_states).numpy()),
        quantile_table("lcd", screen.var_names, torch.cat(drift_states).numpy()),
    ]
    write_tsv(pd.concat(parts, ignore_index=True), state_table)


def genes_of(
    perturbation: str, genes: pd.Index, observed: NDArray[Any], generated: NDArray[Any]
) -> pd.DataFrame:
    """Mean, variance and fraction of zeros per gene, observed and generated."""
    columns: dict[str, Any] = {"perturbation": perturbation, "gene": genes}
    for name, counts in {"observed": observed, "generated": generated}.items():
        columns[f"{name}_mean"] = counts.mean(axis=0)
        columns[f"{name}_variance"] = counts.var(axis=0, ddof=1)
        columns[f"{name}_zeros"] = (counts == 0).mean(axis=0)
    return pd.DataFrame(columns)


def quantile_table(source: str, genes: pd.Index, states: NDArray[Any]) -> pd.DataFrame:
    """Quantiles of standardised states per gene, over all conditions."""
    values = np.quantile(states, list(QUANTILES.values()), axis=0)
    columns = {"source": source, "gene": genes, **dict(zip(QUANTILES, values, strict=True))}
    return pd.DataFrame(columns)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
