"""From counts, priors or states to a fitted model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lcd_core.checkpoints import Checkpoints
from lcd_core.conditions import CONTROL, multi_hot
from lcd_core.counts import checked_counts, checked_genes, target_sets
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.model import LCD
from lcd_core.prior import ImplicitPriors, fit_priors, scale_of
from lcd_core.score_matching import fit_drift
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings
from lcd_core.states import EXPRESSION, StateTransform
from lcd_core.streams import stream
from lcd_core.training import TrainingLog


@dataclass(frozen=True)
class LCDSettings:
    """Settings of a whole fit; the defaults are the published sizes, which need a GPU."""

    prior: PriorSettings = field(default_factory=PriorSettings)
    states: StateSettings = field(default_factory=StateSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)


def fit(
    counts: Mapping[str, Any],
    genes: Sequence[str],
    *,
    targets: Mapping[str, Sequence[str]] | None = None,
    settings: LCDSettings | None = None,
    seed: int,
    device: str | torch.device = "cpu",
) -> LCD:
    """Fit a latent causal diffusion to the counts of all conditions.

    Parameters
    ----------
    counts
        Condition -> counts, cells x genes, nonnegative integers: a NumPy array, a SciPy sparse
        matrix or a tensor. One of them is ``"control"``.
    genes
        Names of the genes, in the order of the columns.
    targets
        Condition -> what it perturbs. By default the name split at ``+``; the control nothing.
    settings
        See :class:`LCDSettings`.
    seed
        Seed of the fit.
    device
        Where to train, such as ``"cuda"``.

    Raises
    ------
    InputError
        Without a control, or on counts or targets that cannot be.
    TrainingDiverged
        If a loss stops being finite.
    """
    settings = settings or LCDSettings()
    if settings.states.transform == EXPRESSION:
        raise InputError(
            "counts are fitted with a measurement model, which this transform has not",
            where="states.transform",
            found=EXPRESSION,
            remedy="choose another transform, or call fit_to_expression",
        )
    names = checked_genes(genes)
    checked = checked_counts(counts, len(names))
    sets = target_sets(list(checked), targets)
    tensors = {name: torch.from_numpy(own) for name, own in checked.items()}
    eta = scale_of(tensors[CONTROL].numpy(), settings.prior)
    priors, _ = fit_priors(tensors, names, eta, settings.prior, seed=seed, device=device)
    model, _ = fit_diffusion(
        priors, sets, settings.states, settings.drift, seed=seed, device=device
    )
    return model


def fit_diffusion(
    priors: ImplicitPriors,
    target_sets: Mapping[str, Sequence[str]],
    states: StateSettings,
    drift: DriftSettings,
    *,
    further_targets: Sequence[str] = (),
    seed: int,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> tuple[LCD, TrainingLog]:
    """Draw states from the priors, learn their drift and put the model together.

    Parameters
    ----------
    priors
        Result of inference step 1.
    target_sets
        Targets of every condition of the priors; the control has none.
    states, drift
        Settings of the coordinates, and of the drift and its training.
    further_targets
        Targets that no condition perturbs; the model knows them with the mean of the learned
        embeddings.
    seed, device
        Seed of states and training; where to train.
    checkpoints
        See :func:`lcd_core.training.train`.

    Returns
    -------
    tuple
        The model, and the rows of the training.
    """
    drawn = [
        priors.sample_states(name, drift.samples, stream(seed, "states", name))
        for name in priors.names
    ]
    sets = [tuple(target_sets[name]) for name in priors.names]
    return fit_to_states(
        torch.stack(drawn),
        sets,
        priors.genes,
        sorted({target for own in sets for target in own}.union(further_targets)),
        states,
        drift,
        eta=priors.eta,
        pi=priors.pi,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
    )


def fit_to_expression(
    expression: Mapping[str, Tensor],
    genes: Sequence[str],
    target_sets: Mapping[str, Sequence[str]],
    states: StateSettings,
    drift: DriftSettings,
    *,
    further_targets: Sequence[str] = (),
    seed: int,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> tuple[LCD, TrainingLog]:
    """Learn the drift of observed expression: an ablation without priors and measurement model.

    Parameters
    ----------
    expression
        Condition -> log-normalised expression of its cells, (n, d), float32. Cells are drawn with
        replacement, as many as states would be.
    genes
        Names of the d genes.
    target_sets, states, drift, further_targets, seed, device, checkpoints
        As in :func:`fit_diffusion`; the transform of the states is ``expression``.
    """
    drawn = []
    for name, cells in expression.items():
        rows = torch.randint(len(cells), (drift.samples,), generator=stream(seed, "states", name))
        drawn.append(cells[rows])
    sets = [tuple(target_sets[name]) for name in expression]
    return fit_to_states(
        torch.stack(drawn),
        sets,
        genes,
        sorted({target for own in sets for target in own}.union(further_targets)),
        states,
        drift,
        eta=torch.ones(len(genes)),
        pi=torch.zeros(len(genes)),
        seed=seed,
        device=device,
        checkpoints=checkpoints,
    )


def fit_to_states(
    states: Tensor,
    target_sets: Sequence[Sequence[str]],
    genes: Sequence[str],
    targets: Sequence[str],
    state_settings: StateSettings,
    drift_settings: DriftSettings,
    *,
    eta: Tensor,
    pi: Tensor,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> tuple[LCD, TrainingLog]:
    """Learn the drift of states that are known.

    Parameters
    ----------
    states
        Of all conditions, shape (conditions, samples, d); standardised in place, for they can be
        gigabytes.
    target_sets
        Targets of each condition; one of them, the control, has none.
    genes, targets
        Names of the d genes, and of all targets that the model is to know.
    state_settings, drift_settings
        Settings of the coordinates, and of the drift and its training.
    eta, pi
        Rate scale and zero probabilities, shape (d,).
    seed, device
        Seed of the training, and where to train.
    checkpoints
        See :func:`lcd_core.training.train`.

    Raises
    ------
    InputError
        Without a control, or on states that do not vary.
    """
    sets = [tuple(own) for own in target_sets]
    if () not in sets:
        raise InputError("no condition is the control: each of them has targets", found=sets)
    transform = StateTransform.fit(states, states[sets.index(())], eta, state_settings)
    for row in range(len(states)):
        states[row] = transform.forward(states[row])
    drift = Drift(len(genes), len(targets), drift_settings).to(device)
    log = fit_drift(drift, states, multi_hot(sets, targets), seed=seed, checkpoints=checkpoints)
    occurring = {target for own in sets for target in own}
    trained = [target for target in targets if target in occurring]
    model = LCD(genes, targets, drift, transform, pi, trained_targets=trained, seed=seed)
    model.impute_untrained_targets()
    return model, log
