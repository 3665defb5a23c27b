"""Inference step 2: learn the drift of all conditions by denoising score matching (Eq. 12)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from lcd_core.checkpoints import Checkpoints
from lcd_core.drift import Drift
from lcd_core.drift_gradient import loss_and_gradients
from lcd_core.errors import InputError
from lcd_core.files import digest
from lcd_core.streams import stream
from lcd_core.training import TrainingLog, cosine_learning_rate, send, train

SHARE_OF_FREE_MEMORY = 0.5
"""States move to a GPU if they take no more of its memory; the rest is for the steps."""


class FusedAdamW:
    """``torch.optim.AdamW(fused=True)`` with decays 0.9 and 0.999, without its work around a step.

    For networks of a few hundred units that work takes longer than the update itself.

    Parameters
    ----------
    parameters
        What is trained, in place.
    weight_decay
        Decoupled weight decay.

    Attributes
    ----------
    state
        Of every parameter ``step``, ``exp_avg`` and ``exp_avg_sq``, as the class of torch has them.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters, self.weight_decay = list(parameters), weight_decay
        self.state = [
            {
                "step": torch.zeros((), device=own.device),
                "exp_avg": torch.zeros_like(own, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(own, requires_grad=False),
            }
            for own in self.parameters
        ]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], learning_rate: float) -> None:
        """Update all parameters that have a gradient."""
        moving = [
            (parameter, gradient, own)
            for parameter, gradient, own in zip(self.parameters, gradients, self.state, strict=True)
            if gradient is not None
        ]
        adamw(
            [parameter for parameter, _, _ in moving],
            [gradient for _, gradient, _ in moving],
            [own["exp_avg"] for _, _, own in moving],
            [own["exp_avg_sq"] for _, _, own in moving],
            [],
            [own["step"] for _, _, own in moving],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )


class DriftTraining:
    """Inference step 2, one step at a time; see :class:`lcd_core.training.Training`.

    The loss is the batch mean of ``|| alpha f(s + alpha eps) + eps ||^2``, summed over genes. With
    ``antithetic`` noise half as many states are drawn, and each is used with ``eps`` and ``-eps``:
    the expectation is the same, and of the gradient the part cancels that has nothing to do with
    the state, which is most of it at small noise levels.

    Parameters
    ----------
    drift
        On the device to train on, with the settings of its training; trained in place, from
        parameters drawn anew.
    states
        Standardised samples, shape (conditions, samples, d). They are copied to the drift's
        device if there is room.
    membership
        Multi-hot conditions, shape (conditions, targets).
    seed
        Seed of the streams for initial parameters, draws and noise.

    Raises
    ------
    InputError
        On shapes that do not fit.
    """

    name = "drift"
    reports: tuple[str, ...] = ("loss", "gradient_norm")

    def __init__(self, drift: Drift, states: Tensor, membership: Tensor, *, seed: int) -> None:
        self.conditions, self.samples, genes = states.shape
        if membership.shape != (self.conditions, drift.embedding.shape[0]):
            raise InputError(
                "membership must be conditions x targets",
                found=f"{tuple(membership.shape)} for {self.conditions} conditions",
            )
        self.drift, self.settings, self.seed = drift, drift.settings, seed
        self.steps, self.log_every, self.done = drift.settings.steps, drift.settings.log_every, 0
        self.device = drift.embedding.device
        drift.reset(stream(seed, "drift", "initial weights"))
        self.optimizer = FusedAdamW(drift.parameters(), self.settings.weight_decay)
        self.membership = membership.to(drift.embedding)
        self.states = _placed(states, self.device).reshape(-1, genes)
        # drawn where the states are, so that picking them waits for nothing
        self.draws = stream(seed, "drift", "draws", device=self.states.device)
        self.noise = stream(seed, "drift", "noise", device=self.device)

    def step(self) -> Tensor:
        """Update the drift on one batch of noisy states; loss and norm of the gradient."""
        drift = self.drift
        condition = self._draw(self.conditions, self.settings.conditions_per_batch)
        level = self._draw(len(drift.alphas), self.settings.levels_per_batch)
        sample = self._draw(self.samples, "mixed")
        picked = self.states.index_select(0, condition * self.samples + sample)
        clean = send(picked, self.device)
        condition, level = send(condition, self.device), send(level, self.device)
        noise = torch.randn(clean.shape, generator=self.noise, device=self.device)
        if self.settings.antithetic:
            condition, level, clean = _twice(condition), _twice(level), clean.repeat(2, 1)
            noise = torch.cat([noise, -noise])
        loss, gradients = loss_and_gradients(drift, self.membership, condition, level, clean, noise)
        norm = torch.linalg.vector_norm(
            torch.stack(torch._foreach_norm([own for own in gradients if own is not None]))
        )
        self.optimizer.step(gradients, self.learning_rate(self.done))
        self.done += 1
        return torch.stack([loss.double(), norm.double()])

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        own = self.settings
        return cosine_learning_rate(step, own.learning_rate, own.steps, own.warmup_steps)

    def state_dict(self) -> dict[str, Tensor]:
        """Network, moments of the optimizer, random streams, count."""
        moments = {
            f"optimizer.{index}.{name}": value
            for index, own in enumerate(self.optimizer.state)
            for name, value in own.items()
        }
        return {
            **{f"drift.{name}": value for name, value in self.drift.state_dict().items()},
            **moments,
            "draws": self.draws.get_state(),
            "noise": self.noise.get_state(),
            "done": torch.tensor(self.done),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        names = self.drift.state_dict().keys()
        self.drift.load_state_dict({name: state[f"drift.{name}"] for name in names})
        for index, own in enumerate(self.optimizer.state):
            for name, value in own.items():
                value.copy_(state[f"optimizer.{index}.{name}"])
        self.draws.set_state(state["draws"])
        self.noise.set_state(state["noise"])
        self.done = int(state["done"])

    def identity(self) -> dict[str, Any]:
        """What the result depends on: settings, seed, data."""
        by_condition = self.states.reshape(self.conditions, self.samples, -1)
        return {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "data": digest([self.membership, *by_condition]),
        }

    def _draw(self, bound: int, how: str) -> Tensor:
        own = self.settings
        count = own.batch_states // (2 if own.antithetic else 1) if how == "mixed" else 1
        return torch.randint(bound, (count,), generator=self.draws, device=self.states.device)


def _twice(index: Tensor) -> Tensor:
    """The indices of a batch for either sign of its noise; one that holds for all stays one."""
    return index.repeat(2) if len(index) > 1 else index


def fit_drift(
    drift: Drift,
    states: Tensor,
    membership: Tensor,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> TrainingLog:
    """Train ``drift`` in place on standardised states of all training conditions.

    Parameters
    ----------
    drift, states, membership, seed
        See :class:`DriftTraining`.
    checkpoints
        See :func:`lcd_core.training.train`.

    Raises
    ------
    InputError
        On shapes that do not fit.
    TrainingDiverged
        If the loss stops being finite.
    """
    return train(DriftTraining(drift, states, membership, seed=seed), checkpoints)


def _placed(states: Tensor, device: torch.device) -> Tensor:
    """States on the device, or where they are if they would take too much of it."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if states.nbytes > SHARE_OF_FREE_MEMORY * free:
            return states
    return states.to(device)
