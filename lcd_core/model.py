"""The fitted latent causal diffusion: save, load, and sample any set of known targets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.files import load_tensors, save_tensors
from lcd_core.measurement import sample_counts
from lcd_core.sampling import PRESETS, SamplerSettings, sample_states
from lcd_core.states import StateTransform


class LCD:
    """A fitted model: drift, state transform and measurement parameters.

    Parameters
    ----------
    genes, targets
        Names of the d genes and of the perturbation targets.
    drift
        Trained drift in standardised coordinates.
    transform
        Map between states and these coordinates.
    pi
        Zero probabilities, shape (d,).
    trained_targets
        Targets that occurred in training; the others carry the mean of the learned embeddings.
    """

    def __init__(
        self,
        genes: Sequence[str],
        targets: Sequence[str],
        drift: Drift,
        transform: StateTransform,
        pi: Tensor,
        trained_targets: Sequence[str] | None = None,
    ) -> None:
        self.genes, self.targets = list(genes), list(targets)
        self.drift, self.transform, self.pi = drift, transform, pi
        self.trained_targets = list(targets if trained_targets is None else trained_targets)

    def impute_untrained_targets(self) -> None:
        """Give targets never seen in training the mean of the learned embeddings."""
        trained = torch.tensor([t in set(self.trained_targets) for t in self.targets])
        if bool(trained.all()) or not bool(trained.any()):
            return
        with torch.no_grad():
            embedding = self.drift.embedding
            embedding[~trained.to(embedding.device)] = embedding[trained.to(embedding.device)].mean(
                0
            )

    def sample_states(
        self,
        perturbation: Sequence[str],
        n: int,
        *,
        seed: int,
        sampler: SamplerSettings = PRESETS["default"],
    ) -> Tensor:
        """Draw ``n`` standardised states under a set of targets, shape (n, d)."""
        membership = multi_hot([list(perturbation)], self.targets).expand(n, -1)
        generator = torch.Generator(self.drift.embedding.device).manual_seed(seed)
        return sample_states(self.drift, membership, sampler, generator)

    def sample(
        self,
        perturbation: Sequence[str],
        n: int,
        *,
        seed: int,
        sampler: SamplerSettings = PRESETS["default"],
        draws_per_state: int = 1,
    ) -> Tensor:
        """Draw counts of ``n`` cells under any set of known targets; ``()`` is the control.

        Parameters
        ----------
        perturbation
            Targets, none, one, two, three or more.
        n
            Number of cells.
        seed
            Seed of states and counts.
        sampler
            Annealing settings or one of :data:`lcd_core.sampling.PRESETS`.
        draws_per_state
            Cells measured per state drawn.

        Returns
        -------
        Tensor
            int32 counts, shape (n, d).

        Raises
        ------
        InputError
            On a target the model does not know, or ``n`` or ``draws_per_state`` below 1.
        """
        if isinstance(perturbation, str):
            raise InputError(
                "a perturbation is a sequence of targets",
                found=repr(perturbation),
                remedy=f"pass [{perturbation!r}]",
            )
        if n < 1 or draws_per_state < 1:
            raise InputError(
                "n and draws_per_state must be at least 1", found=f"{n}, {draws_per_state}"
            )
        states = self.sample_states(
            perturbation, -(-n // draws_per_state), seed=seed, sampler=sampler
        )
        return self.measure(states.repeat_interleave(draws_per_state, dim=0)[:n], seed=seed)

    def measure(self, states: Tensor, *, seed: int) -> Tensor:
        """Draw counts of one cell per standardised state (n, d); int32, shape (n, d)."""
        # apart from the generator of the states, which the same seed gives the stream above
        generator = torch.Generator(states.device).manual_seed(seed + 1)
        return sample_counts(self.transform.rate(states), self.pi.to(states.device), generator)

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` into ``folder``."""
        tensors = {f"drift.{k}": v for k, v in self.drift.state_dict().items()}
        tensors |= {
            "transform.mean": self.transform.mean,
            "transform.scale": self.transform.scale,
            "transform.eta": self.transform.eta,
            "transform.ceiling": self.transform.ceiling,
            "pi": self.pi,
        }
        metadata: dict[str, Any] = {
            "genes": self.genes,
            "targets": self.targets,
            "trained_targets": self.trained_targets,
            "drift": self.drift.settings,
            "transform": {"kind": self.transform.kind, "pseudocount": self.transform.pseudocount},
        }
        save_tensors(folder, "model", tensors, metadata)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "LCD":
        """Read a model written by :meth:`save`.

        Raises
        ------
        InputError
            If a file is missing, damaged, or of another format.
        """
        tensors, metadata = load_tensors(folder, "model", device)
        state = {k.removeprefix("drift."): v for k, v in tensors.items() if k.startswith("drift.")}
        drift = Drift(
            len(metadata["genes"]), len(metadata["targets"]), state["alphas"], **metadata["drift"]
        )
        drift.load_state_dict(state)
        drift.to(device).eval()
        transform = StateTransform(
            metadata["transform"]["kind"],
            tensors["transform.mean"],
            tensors["transform.scale"],
            tensors["transform.eta"],
            tensors["transform.ceiling"],
            metadata["transform"]["pseudocount"],
        )
        return cls(
            metadata["genes"],
            metadata["targets"],
            drift,
            transform,
            tensors["pi"],
            metadata["trained_targets"],
        )
