"""What the suite times, at which sizes, and what it holds it against."""

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

from benchmarks.device_steps import screen as poisson_screen
from benchmarks.differential_expression import by_scipy, simulate
from benchmarks.effects_cost import system
from benchmarks.likelihood import written_out
from benchmarks.suite.harness import Case, Run, Work
from evaluation.distances import energy_distance, maximum_mean_discrepancy, wasserstein1
from folds import select_genes
from lcd_core.conditions import multi_hot
from lcd_core.direct_effects import direct_effects
from lcd_core.drift import Drift
from lcd_core.linearisation import nearest_level
from lcd_core.measurement import CountFeatures, can_fuse, log_likelihood, log_softplus, rate_scale
from lcd_core.prior import GeneratorLayout, PriorTraining, evidence_of, parameters_of_generator
from lcd_core.responses import limit_responses
from lcd_core.sampling import sample_states
from lcd_core.score_matching import DriftTraining
from lcd_core.settings import PRESETS, DriftSettings, PriorSettings
from lcd_core.solvers import AndersonSolver, FlowSolver
from lcd_core.units import LinearUnits
from pipeline.differential_expression import differential_expression
from pipeline.screen import write_h5ad
from screen import differential_expression as differential_expression_job
from screen import filter_screen

CELLS = 64
TARGETS = 60
CONDITIONS = 80
SLICE = 500
"""States that the written-out likelihood takes at a time."""


# ------------------------------------------------------------------------------------- likelihood


def likelihood_inputs(states: int, genes: int, device: str) -> tuple[Tensor, ...]:
    """States, logits, scale and counts."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(states, genes, generator=generator).to(device).requires_grad_()
    logit = torch.full((genes,), -2.0, device=device, requires_grad=True)
    counts = torch.poisson(torch.full((CELLS, genes), 2.0), generator=generator).to(device)
    return x, logit, torch.full((genes,), 3.0, device=device), counts


def evidence(states: int, genes: int, *, fused: bool = False) -> Callable[[str], Run]:
    """Evidence of a batch of cells with its gradient, as in a step of the prior."""

    def prepare(device: str) -> Run:
        if fused and not can_fuse((states, genes), torch.device(device)):
            raise RuntimeError("nothing to time: the likelihood could not be compiled")
        x, logit, eta, counts = likelihood_inputs(states, genes, device)
        features, constant = CountFeatures(counts, eta).all()

        def run() -> object:
            logp = log_likelihood(x, logit, eta, features, constant, fused=fused)
            _, weights = evidence_of(logp.detach(), 1.0)
            return torch.autograd.grad(logp, [x, logit], weights)

        return run

    return prepare


def evidence_written_out(states: int, genes: int) -> Callable[[str], Run]:
    """The same through a tensor of cells x states x genes, in slices of states.

    The evidence needs all states first: every slice is computed twice, for its values and, once
    the weights are known, for its gradient.
    """

    def prepare(device: str) -> Run:
        x, logit, eta, counts = likelihood_inputs(states, genes, device)
        constant = torch.zeros((), device=device)

        def run() -> object:
            with torch.no_grad():
                logp = torch.cat(
                    [written_out(part, logit, eta, counts, constant) for part in x.split(SLICE)], 1
                )
                weights = torch.softmax(logp, dim=1)
            total = [torch.zeros_like(x), torch.zeros_like(logit)]
            for part, own, out in zip(
                x.split(SLICE), weights.split(SLICE, 1), total[0].split(SLICE), strict=True
            ):
                part = part.detach().requires_grad_()
                own_logp = written_out(part, logit, eta, counts, constant)
                of_states, of_logit = torch.autograd.grad(own_logp, [part, logit], own)
                out.copy_(of_states)
                total[1] += of_logit
            return total

        return run

    return prepare


def evidence_work(states: int, genes: int) -> Work:
    """Two products of inner size 2 d; five transcendental functions per state and gene."""
    return Work(
        flop=8.0 * CELLS * states * genes,
        memory=4.0 * (2 * states * genes + 2 * CELLS * states),
        exponentials=5.0 * states * genes + CELLS * states,
    )


# ------------------------------------------------------------------------------------------ prior


def counts_of(conditions: int, genes: int) -> dict[str, Tensor]:
    """Poisson counts, 50 cells a condition."""
    return poisson_screen(genes, conditions, 50)


def prior_step(states: int, genes: int, conditions: int) -> Callable[[str], Run]:
    """One optimizer step."""

    def prepare(device: str) -> Run:
        counts = counts_of(conditions, genes)
        names = [f"G{i}" for i in range(genes)]
        settings = PriorSettings(monte_carlo_states=states, temperature=5.0)
        eta = rate_scale(torch.cat([*counts.values()]).numpy())
        return PriorTraining(counts, names, eta, settings, seed=1, device=device).step

    return prepare


class Generator(nn.Module):
    """The generator network in modules of torch."""

    def __init__(self, genes: int, settings: PriorSettings) -> None:
        super().__init__()
        layers = GeneratorLayout(settings, genes).layers
        self.layers = nn.ModuleDict({name: nn.Linear(a, b) for name, a, b in layers})
        self.order = [name for name, _, _ in layers]

    def forward(self, z: Tensor) -> Tensor:
        """States from noise."""
        for name in self.order:
            if name.endswith("a"):
                z = z + self.layers[f"{name[:-1]}b"](nn.functional.silu(self.layers[name](z)))
            elif not name.endswith("b"):
                z = self.layers[name](z)
        return z


def plain_log_likelihood(x: Tensor, logit: Tensor, eta: Tensor, y: Tensor) -> Tensor:
    """As one matrix product too, differentiated by torch."""
    mu = eta * nn.functional.softplus(x)
    zero = torch.logaddexp(nn.functional.logsigmoid(logit), nn.functional.logsigmoid(-logit) - mu)
    positive = nn.functional.logsigmoid(-logit) - mu
    features = torch.cat([(y > 0).float(), y], dim=1)
    constant = y @ eta.log() - torch.lgamma(y + 1).sum(dim=1)
    state = torch.cat([positive - zero, log_softplus(x)], dim=1)
    return zero.sum(dim=1) + features @ state.T + constant[:, None]


def plain_prior_step(states: int, genes: int, conditions: int) -> Callable[[str], Run]:
    """A prototype: modules, autograd and Adam of torch, a matrix product for the likelihood."""

    def prepare(device: str) -> Run:
        counts = {
            name: own.float().to(device) for name, own in counts_of(conditions, genes).items()
        }
        eta = rate_scale(torch.cat([*counts.values()]).cpu().numpy()).float().to(device)
        settings = PriorSettings(monte_carlo_states=states, temperature=5.0)
        networks = [Generator(genes, settings).to(device) for _ in counts]
        logit = torch.full((genes,), -3.0, device=device, requires_grad=True)
        adams = [
            torch.optim.Adam([*own.parameters(), logit], lr=1e-4, betas=(0.0, 0.99))
            for own in networks
        ]
        cells = list(counts.values())

        def run() -> object:
            q = int(torch.randint(len(cells), ()))
            y = cells[q][torch.randint(len(cells[q]), (CELLS,), device=device)]
            noise = torch.randn(states, settings.latent_dimensions, device=device)
            logp = plain_log_likelihood(networks[q](noise), logit, eta, y)
            loss = -torch.logsumexp(logp, dim=1).sum()
            loss = loss - 5.0 * torch.logsumexp(logp / 5.0, dim=1).sum()
            adams[q].zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*networks[q].parameters(), logit], 1.0)
            adams[q].step()
            return loss.detach()

        return run

    return prepare


def prior_work(states: int, genes: int) -> Work:
    """A generator forward and backward, the likelihood, and the optimizer's passes."""
    settings = PriorSettings()
    parameters = parameters_of_generator(settings, genes)
    likelihood = evidence_work(states, genes)
    hidden = settings.blocks * settings.hidden + settings.output_blocks * settings.output_hidden
    return Work(
        flop=6.0 * states * parameters + likelihood.flop,
        memory=4.0 * 6 * parameters + likelihood.memory,
        exponentials=float(states * hidden) + likelihood.exponentials,
    )


# ------------------------------------------------------------------------------------------ drift


def drift_states(conditions: int, genes: int) -> tuple[Tensor, Tensor]:
    """States and membership: a control, then single targets."""
    states = torch.randn(conditions, 100, genes, generator=torch.Generator().manual_seed(1))
    names = [f"T{i}" for i in range(TARGETS)]
    members = [[], *([names[i % TARGETS]] for i in range(conditions - 1))]
    return states, multi_hot(members, names)


def drift_settings(hidden: int, batch: int) -> DriftSettings:
    """Settings of a width and a batch."""
    return DriftSettings(
        hidden=hidden, embedding_dimensions=max(TARGETS, hidden // 2), batch_states=batch
    )


def drift_step(genes: int, hidden: int, batch: int, conditions: int) -> Callable[[str], Run]:
    """One optimizer step."""

    def prepare(device: str) -> Run:
        states, membership = drift_states(conditions, genes)
        drift = Drift(genes, TARGETS, drift_settings(hidden, batch)).to(device)
        return DriftTraining(drift, states, membership, seed=1).step

    return prepare


def plain_drift_step(genes: int, hidden: int, batch: int, conditions: int) -> Callable[[str], Run]:
    """The network a state at a time in modules of torch, AdamW of torch as it comes."""

    def prepare(device: str) -> Run:
        settings = drift_settings(hidden, batch)
        states, membership = (own.to(device) for own in drift_states(conditions, genes))
        drift = Drift(genes, TARGETS, settings).to(device)
        drift.reset(torch.Generator().manual_seed(1))
        adam = torch.optim.AdamW(drift.parameters(), lr=1e-3, weight_decay=1.0)

        def run() -> object:
            q = torch.randint(conditions, (batch,), device=device)
            level = torch.randint(settings.noise_levels, (batch,), device=device)
            clean = states[q, torch.randint(states.shape[1], (batch,), device=device)]
            noise = torch.randn_like(clean)
            alpha = drift.alphas[level].float()[:, None]
            x = (clean + alpha * noise) / torch.sqrt(1 + alpha**2)
            embedding = membership @ drift.embedding
            first, second = drift.embed_first(embedding)[q], drift.embed_second(embedding)[q]
            z = torch.tanh(drift.input(x) + first + drift.level_features()[level])
            z = torch.tanh(drift.middle(z) + second)
            loss = (drift.output(z) + noise).square().sum(dim=1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            return loss.detach()

        return run

    return prepare


def drift_work(genes: int, hidden: int, batch: int, conditions: int) -> Work:
    """Products of states, conditions and noise levels, forward and backward; AdamW's passes."""
    settings = drift_settings(hidden, batch)
    embedding = settings.embedding_dimensions
    state = 2 * genes * hidden + hidden**2
    condition = TARGETS * embedding + 2 * embedding * hidden
    level = settings.time_dimensions * hidden + hidden**2
    products = batch * state + conditions * condition + settings.noise_levels * level
    backward_of_inputs = batch * genes * hidden  # the states need no gradient
    parameters = state + 2 * embedding * hidden + TARGETS * embedding + level
    return Work(
        flop=6.0 * products - 2.0 * backward_of_inputs,
        memory=4.0 * 7 * parameters,
        exponentials=2.0 * batch * hidden,
    )


def sampling(genes: int, hidden: int, cells: int) -> Callable[[str], Run]:
    """States of one condition by the default preset."""

    def prepare(device: str) -> Run:
        drift = Drift(genes, TARGETS, drift_settings(hidden, 512)).to(device)
        drift.reset(torch.Generator().manual_seed(1))
        membership = torch.eye(TARGETS)[:1].to(device)
        generator = torch.Generator(device).manual_seed(1)
        settings = PRESETS["default"]
        return lambda: sample_states(drift, membership, settings, generator, number=cells)

    return prepare


def plain_sampling(genes: int, hidden: int, cells: int) -> Callable[[str], Run]:
    """Eq. 13 as it is written, with the network called anew at every step."""

    def prepare(device: str) -> Run:
        drift = Drift(genes, TARGETS, drift_settings(hidden, 512)).to(device)
        drift.reset(torch.Generator().manual_seed(1))
        membership = torch.eye(TARGETS)[:1].expand(cells, -1).to(device)
        settings = PRESETS["default"]

        def run() -> object:
            x = torch.randn(cells, genes, device=device)
            with torch.no_grad():
                for level in reversed(range(len(drift.alphas))):
                    size = settings.step_size * float(drift.alphas[level]) ** 2
                    for _ in range(settings.steps_per_level):
                        x = x + size * drift(x, membership, level)
                        x = x + math.sqrt(2 * size) * torch.randn_like(x)
            return x

        return run

    return prepare


def sampling_work(genes: int, hidden: int, cells: int) -> Work:
    """Products and activations of all evaluations of the drift."""
    evaluations = DriftSettings.noise_levels * PRESETS["default"].steps_per_level
    return Work(
        flop=2.0 * evaluations * cells * (2 * genes * hidden + hidden**2),
        exponentials=2.0 * evaluations * cells * hidden,
    )


# ---------------------------------------------------------------------------------------- effects


def responses(genes: int, solver: AndersonSolver | FlowSolver) -> Callable[[str], Run]:
    """Limit responses of all perturbations under a drift trained for a moment."""

    def prepare(device: str) -> Run:
        settings = DriftSettings(
            hidden=128, embedding_dimensions=TARGETS, batch_states=256, steps=400, weight_decay=0.3
        )
        states, membership = drift_states(TARGETS + 1, genes)
        for q in range(1, TARGETS + 1):
            states[q, :, q % genes] += 2.0
        drift = Drift(genes, TARGETS, settings).to(device)
        training = DriftTraining(drift, states, membership, seed=1)
        for _ in range(settings.steps):
            training.step()
        drift = drift.double()
        units = LinearUnits(torch.zeros(genes).double(), torch.ones(genes).double())
        level = nearest_level(drift.alphas.tolist(), 0.3)
        conditions = membership.double().to(device)

        def run() -> object:
            return limit_responses(
                drift, conditions, units, level=level, solver=solver, tolerance=1e-3
            )

        return run

    return prepare


def estimator(name: str, genes: int) -> Callable[[str], Run]:
    """Direct effects of a system whose genes are all perturbed."""

    def prepare(device: str) -> Run:
        found = system(genes, 1)
        return lambda: direct_effects(name, found, draws=30, seed=1)

    return prepare


# --------------------------------------------------------------------------------------- evaluation


def two_samples(cells: int, genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-normalised expression of two samples."""
    rng = np.random.default_rng(0)
    return tuple(np.log1p(rng.gamma(0.5, 2.0, (cells, genes))) for _ in range(2))  # type: ignore[return-value]


def distance(function: Callable[..., float], cells: int, genes: int) -> Callable[[str], Run]:
    """A distance between two samples."""

    def prepare(device: str) -> Run:
        x, y = two_samples(cells, genes)
        return lambda: function(x, y)

    return prepare


def mmd_written_out(x: np.ndarray, y: np.ndarray) -> float:
    """Cell by cell: all differences, all length scales."""
    scales = np.geomspace(0.01, 10, 10)

    def kernel(cell: np.ndarray, others: np.ndarray) -> Any:
        squared = ((others - cell) ** 2).sum(axis=1)
        return np.mean([np.exp(-squared / (2 * len(cell) * s**2)) for s in scales], axis=0).sum()

    n, m = len(x), len(y)
    own = [(sum(kernel(cell, z) for cell in z) - len(z)) / len(z) / (len(z) - 1) for z in (x, y)]
    return float(sum(own) - 2 * sum(kernel(cell, y) for cell in x) / n / m)


def energy_written_out(x: np.ndarray, y: np.ndarray) -> float:
    """Cell by cell."""

    def total(a: np.ndarray, b: np.ndarray) -> float:
        return float(sum(np.sqrt(((b - cell) ** 2).sum(axis=1)).sum() for cell in a))

    n, m = len(x), len(y)
    return 2 * total(x, y) / n / m - total(x, x) / n / (n - 1) - total(y, y) / m / (m - 1)


def wasserstein_by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    """Gene by gene."""
    pairs = zip(x.T, y.T, strict=True)
    return float(np.mean([wasserstein_distance(own, other) for own, other in pairs]))


def pairs_work(cells: int, genes: int, exponentials: int) -> Work:
    """Products for all pairs of cells, each pair within a sample once."""
    pairs = 2.0 * cells**2
    return Work(flop64=2.0 * genes * pairs, exponentials64=exponentials * pairs)


def expression_tests(
    cells: int, genes: int, perturbations: int, scipy: bool = False
) -> Callable[[str], Run]:
    """Mann-Whitney U of every gene under every perturbation."""

    def prepare(device: str) -> Run:
        from pipeline.differential_expression import sparse_lognorm

        found = simulate(cells, genes, perturbations, 0)
        if not scipy:
            differential_expression(found[::10].copy(), n_threads=1)  # compiled before the clock
            return lambda: differential_expression(found, n_threads=1)
        normalised = found.copy()
        normalised.X = sparse_lognorm(found.X, found.obs["library_size"].to_numpy())
        return lambda: by_scipy(found, normalised)

    return prepare


def preprocessing(cells: int, genes: int, perturbations: int, stage: str) -> Callable[[str], Run]:
    """A stage between the import of a screen and the first fit, files read and written."""

    def prepare(device: str) -> Run:
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name)
        write_h5ad(simulate(cells, genes, perturbations, 0), path / "screen.h5ad")
        tests = str(path / "tests.h5ad")

        def names(*files: str) -> dict[str, str]:
            return {Path(file).stem: str(path / file) for file in files}

        def run() -> object:
            assert folder  # kept as long as the stage may run
            if stage == "filter":
                filter_screen.main(
                    screen=str(path / "screen.h5ad"), table=str(path / "quality_control.tsv"),
                    min_cells_per_gene=10, min_genes_per_cell=10, min_cells_per_perturbation=10,
                    mitochondrial_prefix="MT-", max_mitochondrial_percent=None, min_counts=None,
                    max_counts=None, min_genes=None, max_genes=None, size_factors="total",
                    dominant_percent=20.0,
                    **names("filtered.h5ad", "conditions.tsv", "removed_genes.tsv"),
                )  # fmt: skip
            elif stage == "test":
                differential_expression_job.main(
                    screen=str(path / "screen.h5ad"), tests=tests, n_threads=1
                )
            else:
                select_genes.main(
                    screen=str(path / "screen.h5ad"), tests=tests, folds=None, fold="all",
                    n_genes=1000, markers_per_perturbation=50, gives_effects=False,
                    module_markers=[], module_number=1, held_out_folds=0, compared_genes=20,
                    **names(
                        "genes.tsv", "markers.tsv", "differential_expression.tsv",
                        "test_differential_expression.tsv", "train.h5ad", "test.h5ad",
                        "test_perturbations.txt",
                    ),
                )  # fmt: skip
            return None

        if stage == "select":
            differential_expression_job.main(
                screen=str(path / "screen.h5ad"), tests=tests, n_threads=1
            )
        return run

    return prepare


# -------------------------------------------------------------------------------------------- all


def cases(size: str) -> Iterator[Case]:
    """Everything, the main table first; ``full`` has the published sizes beside the small ones."""
    full = size == "full"
    for states, genes in [(300, 60), (1000, 250), (1000, 1000), *([(20_000, 1000)] * full)]:
        yield Case(
            "evidence and its gradient", {"cells": CELLS, "states": states, "genes": genes},
            evidence(states, genes), evidence_written_out(states, genes),
            "tensor of cells x states x genes", evidence_work(states, genes),
        )  # fmt: skip
    for states, genes in [(1000, 1000), *([(20_000, 1000)] * full)]:
        yield Case(
            "evidence, compiled", {"cells": CELLS, "states": states, "genes": genes},
            evidence(states, genes, fused=True), evidence(states, genes), "pass by pass",
            evidence_work(states, genes),
        )  # fmt: skip
    for states, genes in [(300, 60), (500, 250), *([(1000, 1000), (20_000, 1000)] * full)]:
        yield Case(
            "prior, a step", {"states": states, "genes": genes},
            prior_step(states, genes, 20), plain_prior_step(states, genes, 20),
            "modules, autograd and Adam of torch", prior_work(states, genes),
        )  # fmt: skip
    shapes = [(60, 256, 512), (100, 128, 512), (250, 512, 512)]
    for genes, hidden, batch in [*shapes, *([(1000, 1024, 8192), (1000, 2048, 8192)] * full)]:
        sizes = (genes, hidden, batch, CONDITIONS)
        yield Case(
            "drift, a step", {"genes": genes, "hidden": hidden, "states": batch},
            drift_step(*sizes), plain_drift_step(*sizes), "modules and AdamW of torch",
            drift_work(*sizes),
        )  # fmt: skip
    for genes, hidden in [(60, 256), *([(1000, 1024)] * full)]:
        yield Case(
            "sampling", {"genes": genes, "hidden": hidden, "cells": 1000},
            sampling(genes, hidden, 1000), plain_sampling(genes, hidden, 1000),
            "the network called at every step", sampling_work(genes, hidden, 1000),
        )  # fmt: skip
    yield Case(
        "limit responses", {"genes": 60, "perturbations": TARGETS},
        responses(60, AndersonSolver()), responses(60, FlowSolver()), "the flow, 20 steps a level",
    )  # fmt: skip
    for genes in (60, 300, *([1000] * full)):
        for name in ("clipr", "adaptive_rows"):
            yield Case(f"effects by {name}", {"genes": genes}, estimator(name, genes))
    for cells, genes in [(60, 60), (300, 1000), *([(1000, 1000)] * full)]:
        of = {"cells": cells, "genes": genes}
        yield Case(
            "MMD", of, distance(maximum_mean_discrepancy, cells, genes),
            distance(mmd_written_out, cells, genes), "cell by cell", pairs_work(cells, genes, 10),
        )  # fmt: skip
        yield Case(
            "energy distance", of, distance(energy_distance, cells, genes),
            distance(energy_written_out, cells, genes), "cell by cell", pairs_work(cells, genes, 0),
        )  # fmt: skip
        yield Case(
            "Wasserstein-1 distance", of, distance(wasserstein1, cells, genes),
            distance(wasserstein_by_scipy, cells, genes), "SciPy, gene by gene",
        )  # fmt: skip
    for cells, genes, perturbations in [(3000, 300, 20), *([(20_000, 1000, 100)] * full)]:
        yield Case(
            "differential expression",
            {"cells": cells, "genes": genes, "perturbations": perturbations},
            expression_tests(cells, genes, perturbations),
            expression_tests(cells, genes, perturbations, scipy=True),
            "SciPy, a call a perturbation",
        )  # fmt: skip
    large = (200_000, 8000, 1000) if full else (10_000, 1000, 50)
    for stage, label in (
        ("filter", "quality control"),
        ("test", "differential expression, files"),
        ("select", "selection of genes"),
    ):
        yield Case(
            label, dict(zip(("cells", "genes", "perturbations"), large, strict=True)),
            preprocessing(*large, stage), repeats=3,
        )  # fmt: skip
    yield from curves(full)


def curves(full: bool) -> Iterator[Case]:
    """How cost grows with each size alone."""
    for genes in (60, 120, 250, 500, *([1000, 2000] * full)):
        yield Case(
            "prior, a step", {"genes": genes, "states": 300}, prior_step(300, genes, 20),
            work=prior_work(300, genes), curve="genes",
        )  # fmt: skip
        sizes = (genes, 256, 512, CONDITIONS)
        yield Case(
            "drift, a step", {"genes": genes, "hidden": 256, "states": 512}, drift_step(*sizes),
            work=drift_work(*sizes), curve="genes",
        )  # fmt: skip
        yield Case(
            "MMD", {"genes": genes, "cells": 300}, distance(maximum_mean_discrepancy, 300, genes),
            work=pairs_work(300, genes, 10), curve="genes",
        )  # fmt: skip
    for conditions in (20, 80, 320, *([1000] * full)):
        yield Case(
            "prior, a step", {"conditions": conditions, "genes": 60, "states": 300},
            prior_step(300, 60, conditions), work=prior_work(300, 60), curve="conditions",
        )  # fmt: skip
        sizes = (60, 256, 512, conditions)
        yield Case(
            "drift, a step", {"conditions": conditions, "genes": 60, "hidden": 256},
            drift_step(*sizes), work=drift_work(*sizes), curve="conditions",
        )  # fmt: skip
    for states in (100, 300, 1000, 3000, *([10_000, 20_000] * full)):
        yield Case(
            "prior, a step", {"states": states, "genes": 60}, prior_step(states, 60, 20),
            work=prior_work(states, 60), curve="states",
        )  # fmt: skip
        yield Case(
            "evidence and its gradient", {"states": states, "genes": 60}, evidence(states, 60),
            work=evidence_work(states, 60), curve="states",
        )  # fmt: skip
    for cells in (100, 300, 1000, *([3000] * full)):
        yield Case(
            "sampling", {"cells": cells, "genes": 60, "hidden": 256}, sampling(60, 256, cells),
            work=sampling_work(60, 256, cells), curve="cells",
        )  # fmt: skip
        yield Case(
            "MMD", {"cells": cells, "genes": 60}, distance(maximum_mean_discrepancy, cells, 60),
            work=pairs_work(cells, 60, 10), curve="cells",
        )  # fmt: skip
    for cells in (1000, 3000, 10_000, *([30_000, 100_000] * full)):
        yield Case(
            "differential expression", {"cells": cells, "genes": 300, "perturbations": 20},
            expression_tests(cells, 300, 20), curve="cells",
        )  # fmt: skip
