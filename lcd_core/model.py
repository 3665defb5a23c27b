"""The fitted latent causal diffusion: save, load, and sample any set of known targets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift, noise_levels
from lcd_core.errors import InputError
from lcd_core.files import (
    Layout,
    Metadata,
    load_tensors,
    require_finite,
    require_values,
    save_tensors,
)
from lcd_core.measurement import sample_counts
from lcd_core.sampling import sample_states
from lcd_core.settings import PRESETS, DriftSettings, SamplerSettings, StateSettings
from lcd_core.states import EXPRESSION, StateTransform
from lcd_core.streams import stream

if TYPE_CHECKING:
    from anndata import AnnData

KIND = "fitted model"
ORIGIN = "LCD.save writes it, and the workflow does when its path is asked for"


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
        Targets that occurred in training, all unless given; the others carry the mean of the
        learned embeddings.
    seed
        Seed of the fit.
    """

    def __init__(
        self,
        genes: Sequence[str],
        targets: Sequence[str],
        drift: Drift,
        transform: StateTransform,
        pi: Tensor,
        *,
        trained_targets: Sequence[str] | None = None,
        seed: int | None = None,
    ) -> None:
        self.genes, self.targets = list(genes), list(targets)
        self.drift, self.transform, self.pi = drift, transform, pi
        self.trained_targets = list(targets if trained_targets is None else trained_targets)
        self.seed = seed

    @property
    def has_measurement(self) -> bool:
        """Whether it generates counts; false of the ablation, which models expression."""
        return self.transform.settings.transform != EXPRESSION

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
        membership = multi_hot([list(perturbation)], self.targets)
        generator = stream(seed, "sampler", device=self.drift.embedding.device)
        return sample_states(self.drift, membership, sampler, generator, number=n)

    def sample(
        self,
        perturbation: Sequence[str],
        n: int,
        *,
        seed: int,
        sampler: SamplerSettings = PRESETS["default"],
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
            Annealing, one of :data:`lcd_core.settings.PRESETS` for example, and cells per state.

        Returns
        -------
        Tensor
            int32 counts, shape (n, d); of a model without measurement, see :meth:`measure`.

        Raises
        ------
        InputError
            On a target the model does not know, or ``n`` below 1.
        """
        if isinstance(perturbation, str):
            raise InputError(
                "a perturbation is a sequence of targets",
                found=repr(perturbation),
                remedy=f"pass [{perturbation!r}]",
            )
        if n < 1:
            raise InputError("n must be at least 1", found=str(n))
        draws = sampler.draws_per_state
        states = self.sample_states(perturbation, -(-n // draws), seed=seed, sampler=sampler)
        return self.measure(states.repeat_interleave(draws, dim=0)[:n], seed=seed)

    def sample_anndata(
        self,
        perturbations: Sequence[str | Sequence[str]],
        n: int,
        *,
        seed: int,
        sampler: SamplerSettings = PRESETS["default"],
    ) -> "AnnData":
        """Draw ``n`` cells of each of several perturbations, as one AnnData.

        See :func:`lcd_core.annotated.sample_anndata`; needs anndata to be installed.
        """
        from lcd_core.annotated import sample_anndata  # needs this module itself, through fit

        return sample_anndata(self, perturbations, n, seed=seed, sampler=sampler)

    def measure(self, states: Tensor, *, seed: int) -> Tensor:
        """Draw counts of one cell per standardised state (n, d); int32, shape (n, d).

        Of a model without measurement, log-normalised expression, float32.
        """
        if not self.has_measurement:
            return self.transform.expression(states)
        generator = stream(seed, "measurement", device=states.device)
        return sample_counts(self.transform.rate(states), self.pi.to(states.device), generator)

    def save(self, path: str | Path) -> None:
        """Write the model into one file, with its settings and seed."""
        tensors = {f"drift.{name}": value for name, value in self.drift.state_dict().items()}
        tensors |= {
            "transform.mean": self.transform.mean,
            "transform.scale": self.transform.scale,
            "transform.eta": self.transform.eta,
            "transform.ceiling": self.transform.ceiling,
            "pi": self.pi,
        }
        metadata = {
            "genes": self.genes,
            "targets": self.targets,
            "trained_targets": self.trained_targets,
            "settings": {
                "states": asdict(self.transform.settings),
                "drift": asdict(self.drift.settings),
            },
            "seed": self.seed,
        }
        save_tensors(path, KIND, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "LCD":
        """Read a model written by :meth:`save`.

        Raises
        ------
        InputError
            If the file is missing or damaged, or no model of this version.
        """
        tensors, values = load_tensors(path, KIND, device, layout=_layout, origin=ORIGIN)
        _check_values(tensors, path)
        metadata = Metadata(values, KIND, Path(path))
        drift = _unfilled_drift(metadata).to_empty(device=device)
        drift.load_state_dict(
            {k.removeprefix("drift."): v for k, v in tensors.items() if k.startswith("drift.")}
        )
        if not torch.allclose(drift.alphas, noise_levels(drift.settings).to(drift.alphas)):
            raise metadata.refused(
                "the noise levels are not those of the settings", "alphas", drift.alphas.tolist()
            )
        transform = StateTransform(
            metadata.settings(StateSettings, "settings", "states"),
            tensors["transform.mean"],
            tensors["transform.scale"],
            tensors["transform.eta"],
            tensors["transform.ceiling"],
        )
        return cls(
            metadata.names("genes"),
            metadata.names("targets"),
            drift.eval(),
            transform,
            tensors["pi"],
            trained_targets=metadata.names("trained_targets"),
            seed=metadata.seed(),
        )


def _unfilled_drift(metadata: Metadata) -> Drift:
    """The drift network of a file, without memory for its weights."""
    sizes = len(metadata.names("genes")), len(metadata.names("targets"))
    settings = metadata.settings(DriftSettings, "settings", "drift")
    try:
        with torch.device("meta"):
            return Drift(*sizes, settings)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise metadata.refused(
            "no network can have these sizes", "settings.drift", str(error).splitlines()[0]
        ) from error


def _layout(metadata: Metadata) -> Layout:
    """Tensors of a file of a model."""
    d = len(metadata.names("genes"))
    unknown = sorted(set(metadata.names("trained_targets")) - set(metadata.names("targets")))
    if unknown:
        raise metadata.refused("not among the targets", "trained_targets", unknown)
    metadata.seed()
    whole = metadata.settings(StateSettings, "settings", "states").scaling == "covariance"
    network = _unfilled_drift(metadata).state_dict()
    shapes = {name: (d,) for name in ("transform.mean", "transform.eta", "transform.ceiling", "pi")}
    return {
        **{f"drift.{name}": (t.dtype, tuple(t.shape)) for name, t in network.items()},
        **{name: (torch.float32, shape) for name, shape in shapes.items()},
        "transform.scale": (torch.float32, (d, d) if whole else (d,)),
    }


def _check_values(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuse numbers that no fitted model has."""
    require_finite(tensors, KIND, path)
    scale, pi = tensors["transform.scale"], tensors["pi"]
    positive = {
        "transform.scale": scale if scale.ndim == 1 else scale.diagonal(),
        "transform.eta": tensors["transform.eta"],
    }
    wrong = [
        f"{name}: {value:g}" for name, own in positive.items() for value in own[own <= 0].tolist()
    ]
    wrong += [f"pi: {value:g}" for value in pi[(pi < 0) | (pi > 1)].tolist()]
    require_values(wrong, "scales must be positive, probabilities from 0 to 1", KIND, path)
