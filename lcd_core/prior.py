"""Inference step 1: an implicit prior of the states of every condition (Eqs. 9-11).

Each condition has its own generator network ``x = g(eps; phi_q)``; the zero probabilities ``pi``
are shared. Every step draws conditions, estimates the evidence of a batch of their cells by Monte
Carlo over generated states, and updates the generators drawn and ``pi``, nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lcd_core.checkpoints import Checkpoints
from lcd_core.errors import InputError
from lcd_core.files import (
    Layout,
    Metadata,
    digest,
    load_tensors,
    require_finite,
    require_values,
    save_tensors,
)
from lcd_core.measurement import (
    CountFeatures,
    can_fuse,
    log_likelihood,
    rate_scale,
    rates,
    sample_counts,
)
from lcd_core.precision import matmul_precision
from lcd_core.settings import PriorSettings
from lcd_core.streams import stream
from lcd_core.training import TrainingLog, cosine_learning_rate, send, train

KIND = "fitted prior"

START_SPREAD = 0.3
"""Factor on the last weights of generators that start at counts: their states begin close together
and spread as far as the cells ask for."""
START_CELLS = 10
"""Cells with the mean counts of all that a condition's own are averaged with, for that start."""
LEAST_RATE = 1e-3
"""Smallest rate, in units of a gene's scale, from which a state is told for that start."""


def parameters_of_generator(settings: PriorSettings, genes: int) -> int:
    """Number of parameters of one generator, without laying it out."""

    def linear(fan_in: int, fan_out: int) -> int:
        return (fan_in + 1) * fan_out

    def block(width: int, hidden: int) -> int:
        return linear(width, hidden) + linear(hidden, width)

    latent = settings.latent_dimensions
    before = linear(latent, latent) + settings.blocks * block(latent, settings.hidden)
    after = settings.output_blocks * block(genes, settings.output_hidden)
    return before + linear(latent, genes) + after


class GeneratorLayout:
    """Names, shapes and places of one generator's parameters in a flat vector.

    Linear latent->latent; ``blocks`` residual blocks; Linear latent->d; ``output_blocks``
    residual blocks of width d. A block is ``z + Linear(SiLU(Linear(z)))``.
    """

    def __init__(self, settings: PriorSettings, genes: int) -> None:
        latent = settings.latent_dimensions
        layers = [("input", latent, latent)]
        for i in range(settings.blocks):
            layers += [
                (f"block{i}a", latent, settings.hidden),
                (f"block{i}b", settings.hidden, latent),
            ]
        layers.append(("output", latent, genes))
        for i in range(settings.output_blocks):
            layers += [
                (f"output_block{i}a", genes, settings.output_hidden),
                (f"output_block{i}b", settings.output_hidden, genes),
            ]
        self.layers = layers
        self.blocks, self.output_blocks = settings.blocks, settings.output_blocks
        self.precision = settings.network_precision
        self.shapes: list[tuple[str, tuple[int, int]]] = []
        for name, fan_in, fan_out in layers:
            self.shapes += [(f"{name}.weight", (fan_in, fan_out)), (f"{name}.bias", (1, fan_out))]
        self.sizes = [rows * columns for _, (rows, columns) in self.shapes]
        self.total = sum(self.sizes)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Split flat parameters (k, total) into named tensors of shape (k, rows, columns)."""
        parts = torch.split(flat, self.sizes, dim=-1)
        k = flat.shape[:-1]
        return {
            name: part.view(*k, *shape)
            for (name, shape), part in zip(self.shapes, parts, strict=True)
        }

    def initial(self, conditions: int, generator: torch.Generator) -> Tensor:
        """Flat parameters (conditions, total): weights N(0, 1/fan_in), biases zero."""
        flat = torch.zeros(conditions, self.total)
        for name, weight in self.views(flat).items():
            if name.endswith(".weight"):
                weight.copy_(torch.randn(weight.shape, generator=generator))
                weight.div_(math.sqrt(weight.shape[-2]))
        return flat

    def generate(self, flat: Tensor, noise: Tensor) -> Tensor:
        """States (k, M, d) of k generators with parameters (k, total) from noise (k, M, latent)."""
        with matmul_precision(self.precision):
            states: Tensor = _Generate.apply(flat, noise, self)  # type: ignore[no-untyped-call]
        return states


class _Generate(torch.autograd.Function):
    """The generators, with the gradient of their parameters by hand.

    It is written into one flat vector, where autograd would put it together from its pieces; the
    noise gets none.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, noise: Tensor, layout: GeneratorLayout) -> Tensor:
        p = layout.views(flat)
        keep, tape = ctx.needs_input_grad[0], [flat, noise]

        def linear(z: Tensor, name: str) -> Tensor:
            return torch.baddbmm(p[f"{name}.bias"], z, p[f"{name}.weight"])

        def block(z: Tensor, name: str) -> Tensor:
            inner = linear(z, f"{name}a")
            gate = torch.sigmoid(inner)
            outer = inner.mul_(gate)
            if keep:
                tape.extend((z, gate, outer))
            return (z + p[f"{name}b.bias"]).baddbmm_(outer, p[f"{name}b.weight"])

        z = linear(noise, "input")
        for i in range(layout.blocks):
            z = block(z, f"block{i}")
        if keep:
            tape.append(z)
        z = linear(z, "output")
        for i in range(layout.output_blocks):
            z = block(z, f"output_block{i}")
        if keep:
            ctx.layout = layout
            ctx.save_for_backward(*tape)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        flat, noise, *tape = ctx.saved_tensors
        layout = ctx.layout
        gradient = torch.empty_like(flat)
        p, q = layout.views(flat), layout.views(gradient)

        def linear(z: Tensor, grad: Tensor, name: str) -> None:
            torch.bmm(z.mT, grad, out=q[f"{name}.weight"])
            torch.sum(grad, dim=1, keepdim=True, out=q[f"{name}.bias"])

        def block(grad: Tensor, name: str) -> Tensor:
            outer, gate, z = tape.pop(), tape.pop(), tape.pop()
            linear(outer, grad, f"{name}b")
            own = torch.bmm(grad, p[f"{name}b.weight"].mT)
            own *= torch.addcmul(gate + outer, gate, outer, value=-1)  # slope of SiLU
            linear(z, own, f"{name}a")
            return torch.baddbmm(grad, own, p[f"{name}a.weight"].mT)

        for i in reversed(range(layout.output_blocks)):
            grad = block(grad, f"output_block{i}")
        linear(tape.pop(), grad, "output")
        grad = torch.bmm(grad, p["output.weight"].mT)
        for i in reversed(range(layout.blocks)):
            grad = block(grad, f"block{i}")
        linear(noise, grad, "input")
        return gradient, None, None


class RowAdam:
    """Adam with beta1 = 0 that touches only the rows drawn, and equals the dense one exactly.

    A dense Adam would also decay the second moments of rows with zero gradient. That decay is
    applied when a row is next drawn: its moment is multiplied by ``beta2 ** gap``. The bias
    correction uses the global step.
    """

    def __init__(self, parameters: Tensor, beta2: float, epsilon: float = 1e-8) -> None:
        self.parameters, self.beta2, self.epsilon = parameters, beta2, epsilon
        self.second_moment = torch.zeros_like(parameters)
        self.last_step = [0] * parameters.shape[0]

    def step(self, rows: list[int], gradients: Tensor, step: int, learning_rate: float) -> None:
        """Update ``rows`` with their gradients (len(rows), p) at global step ``step`` >= 1."""
        root = math.sqrt(1.0 - self.beta2**step)
        for row, gradient in zip(rows, gradients, strict=True):
            moment = self.second_moment[row]
            moment.mul_(self.beta2 ** (step - self.last_step[row]))
            moment.addcmul_(gradient, gradient, value=1.0 - self.beta2)
            scale = moment.sqrt().add_(self.epsilon * root)
            self.parameters[row].addcdiv_(gradient, scale, value=-learning_rate * root)
            self.last_step[row] = step


class ImplicitPriors:
    """Fitted priors of all conditions, with the measurement model they share.

    Attributes
    ----------
    names, genes
        Conditions and genes.
    parameters
        Flat generator parameters, shape (conditions, p).
    logit_pi, eta
        Shape (d,).
    seed
        Seed of the fit.
    """

    def __init__(
        self,
        names: list[str],
        genes: list[str],
        settings: PriorSettings,
        parameters: Tensor,
        logit_pi: Tensor,
        eta: Tensor,
        *,
        seed: int,
    ) -> None:
        self.names, self.genes, self.settings = list(names), list(genes), settings
        self.layout = GeneratorLayout(settings, len(genes))
        self.parameters, self.logit_pi, self.eta = parameters, logit_pi, eta
        self.seed = seed

    @property
    def pi(self) -> Tensor:
        """Zero probabilities, shape (d,)."""
        return torch.sigmoid(self.logit_pi)

    def sample_states(self, name: str, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` states of one condition, shape (n, d)."""
        row = self.names.index(name)
        device = self.parameters.device
        noise = torch.randn(
            1, n, self.settings.latent_dimensions, generator=generator, device=device
        )
        with torch.no_grad():
            return self.layout.generate(self.parameters[row : row + 1], noise)[0]

    def sample_counts(self, name: str, n: int, generator: torch.Generator) -> Tensor:
        """Draw counts of ``n`` cells of one condition from the prior predictive, shape (n, d)."""
        states = self.sample_states(name, n, generator)
        return sample_counts(rates(states, self.eta.to(states)), self.pi, generator)

    def save(self, path: str | Path) -> None:
        """Write the priors into one file, with their settings and seed."""
        tensors = {"parameters": self.parameters, "logit_pi": self.logit_pi, "eta": self.eta}
        metadata = {
            "names": self.names,
            "genes": self.genes,
            "settings": asdict(self.settings),
            "seed": self.seed,
        }
        save_tensors(path, KIND, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "ImplicitPriors":
        """Read priors written by :meth:`save`.

        Raises
        ------
        InputError
            If the file is missing or damaged, or no priors of this version.
        """
        tensors, values = load_tensors(path, KIND, device, layout=_layout)
        require_finite(tensors, KIND, path)
        scale = tensors["eta"]
        require_values(
            (f"eta: {value:g}" for value in scale[scale <= 0].tolist()),
            "scales must be positive",
            KIND,
            path,
        )
        metadata = Metadata(values, KIND, Path(path))
        seed = metadata.seed()
        if seed is None:
            raise metadata.refused("a seed is an integer", "seed", seed)
        return cls(
            metadata.names("names"),
            metadata.names("genes"),
            metadata.settings(PriorSettings, "settings"),
            tensors["parameters"],
            tensors["logit_pi"],
            scale,
            seed=seed,
        )


def _layout(metadata: Metadata) -> Layout:
    """Tensors of a file of priors."""
    names, genes = metadata.names("names"), metadata.names("genes")
    total = parameters_of_generator(metadata.settings(PriorSettings, "settings"), len(genes))
    metadata.seed()
    return {
        "parameters": (torch.float32, (len(names), total)),
        "logit_pi": (torch.float32, (len(genes),)),
        "eta": (torch.float32, (len(genes),)),
    }


class PriorTraining:
    """Inference step 1, one step at a time; see :class:`lcd_core.training.Training`.

    Parameters
    ----------
    counts
        Condition name -> counts, shape (n_q, d).
    genes
        Names of the d genes.
    eta
        Rate scale, shape (d,), see :func:`lcd_core.measurement.rate_scale`.
    settings
        See :class:`lcd_core.settings.PriorSettings`.
    seed
        Seed of the streams for initial parameters, draws of conditions and cells, and noise.
    device
        Where to train.

    Raises
    ------
    InputError
        On an empty condition or shapes that do not fit.
    """

    name = "prior"
    reports: tuple[str, ...] = ("loss", "gradient_norm", "evidence")

    def __init__(
        self,
        counts: Mapping[str, Tensor],
        genes: Sequence[str],
        eta: Tensor,
        settings: PriorSettings,
        *,
        seed: int,
        device: str | torch.device,
    ) -> None:
        _check_shapes(counts, genes, eta)
        self.settings, self.seed, self.device = settings, seed, torch.device(device)
        self.steps, self.log_every, self.done = settings.steps, settings.log_every, 0
        self.names, self.genes = list(counts), list(genes)
        self.draws = stream(seed, "prior", "draws")
        self.noise = stream(seed, "prior", "noise", device=device)
        self.layout = GeneratorLayout(settings, len(genes))
        initial = self.layout.initial(len(self.names), stream(seed, "prior", "initial weights"))
        if settings.start == "counts":
            self._start_at(initial, counts, eta)
        self.parameters = initial.to(device)
        self.logit_pi = torch.full((1, len(genes)), -3.0, device=device)
        self.eta = eta.to(device, torch.float32)
        shape = (settings.conditions_per_step, settings.monte_carlo_states, len(genes))
        self.fused = settings.fused and can_fuse(shape, self.device)
        self.cells = [CountFeatures(y.to(device), eta.to(device)) for y in counts.values()]
        self.generator_adam = RowAdam(self.parameters, settings.beta2)
        self.pi_adam = RowAdam(self.logit_pi, settings.beta2)

    def step(self) -> Tensor:
        """Update the generators of the conditions drawn, and pi; loss, norm, evidence."""
        settings = self.settings
        rows = self._draw_conditions()
        features, constant = self._draw_cells(rows)
        phi = torch.stack([self.parameters[row] for row in rows]).requires_grad_()
        logits = self.logit_pi[0].clone().requires_grad_()
        states = self.layout.generate(phi, self._draw_noise(len(rows)))  # (k, M, d)
        logp = log_likelihood(states, logits, self.eta, features, constant, fused=self.fused)
        evidence, weights = evidence_of(logp.detach(), 1.0)
        loss = -evidence
        if settings.tempered_evidence:
            tempered, tempered_weights = evidence_of(logp.detach(), settings.temperature)
            loss = loss - tempered
            weights += tempered_weights
        with matmul_precision(settings.network_precision):  # the likelihood sets its own
            grad_phi, grad_logits = torch.autograd.grad(logp, [phi, logits], weights.neg_())
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(own) for own in (grad_phi, grad_logits)])
        )
        shrink = torch.clamp(settings.gradient_clip / (norm + 1e-12), max=1.0)
        rate = self.learning_rate(self.done)
        self.done += 1
        self.generator_adam.step(rows, grad_phi.mul_(shrink), self.done, rate)
        zeros = grad_logits.mul_(shrink).unsqueeze(0)
        self.pi_adam.step([0], zeros, self.done, rate * settings.zero_rate)
        cells = len(rows) * settings.batch_cells
        return torch.stack([loss.double() / cells, norm.double(), evidence.double() / cells])

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        own = self.settings
        return cosine_learning_rate(step, own.learning_rate, own.steps, own.warmup_steps)

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, moments and last steps of both optimizers, random streams, count."""
        return {
            "parameters": self.parameters,
            "logit_pi": self.logit_pi,
            "second_moment": self.generator_adam.second_moment,
            "pi_second_moment": self.pi_adam.second_moment,
            "last_step": torch.tensor(self.generator_adam.last_step),
            "draws": self.draws.get_state(),
            "noise": self.noise.get_state(),
            "done": torch.tensor(self.done),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        self.parameters.copy_(state["parameters"])
        self.logit_pi.copy_(state["logit_pi"])
        self.generator_adam.second_moment.copy_(state["second_moment"])
        self.pi_adam.second_moment.copy_(state["pi_second_moment"])
        self.generator_adam.last_step = state["last_step"].tolist()
        self.done = int(state["done"])
        self.pi_adam.last_step = [self.done]
        self.draws.set_state(state["draws"])
        self.noise.set_state(state["noise"])

    def identity(self) -> dict[str, Any]:
        """What the result depends on: settings, seed, names, data."""
        data = [self.eta, *(own.counts for own in self.cells)]
        return {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "names": [self.names, self.genes],
            "data": digest(data),
        }

    def priors(self) -> ImplicitPriors:
        """The priors as they are now."""
        return ImplicitPriors(
            self.names,
            self.genes,
            self.settings,
            self.parameters,
            self.logit_pi[0],
            self.eta,
            seed=self.seed,
        )

    def _start_at(self, initial: Tensor, counts: Mapping[str, Tensor], eta: Tensor) -> None:
        """Move initial generators, in place, to states that give about the mean counts."""
        layout, views = self.layout, self.layout.views(initial)
        ends = ["output", *(f"output_block{i}b" for i in range(layout.output_blocks))]
        for name in ends:
            views[f"{name}.weight"].mul_(START_SPREAD)
        totals = torch.stack([own.sum(dim=0, dtype=torch.float64) for own in counts.values()]).cpu()
        cells = torch.tensor([float(len(own)) for own in counts.values()]).double().unsqueeze(1)
        mean = totals.sum(dim=0) / cells.sum()
        rate = (totals + START_CELLS * mean) / (cells + START_CELLS) / eta.cpu().double()
        rate.clamp_(min=LEAST_RATE)
        wanted = rate + torch.log(-torch.expm1(-rate))  # softplus of it is the rate
        noise, bias = stream(self.seed, "prior", "start"), views[f"{ends[-1]}.bias"]
        for row, state in enumerate(wanted):
            own = initial[row : row + 1]
            eps = torch.randn(1, 1000, self.settings.latent_dimensions, generator=noise)
            now = layout.generate(own, eps)[0].double().mean(dim=0)
            bias[row, 0] += (state - now).float()

    def _draw_conditions(self) -> list[int]:
        order = torch.randperm(len(self.names), generator=self.draws)
        rows: list[int] = order[: self.settings.conditions_per_step].tolist()
        return rows

    def _draw_noise(self, number: int) -> Tensor:
        """Of so many generators, (number, M, latent)."""
        own = self.settings
        shape = (number, own.monte_carlo_states, own.latent_dimensions)
        return torch.randn(shape, generator=self.noise, device=self.device)

    def _draw_cells(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """Features (k, B, 2d) and constants (k, B) of a batch of each condition's cells."""
        batches = []
        for row in rows:
            n = len(self.cells[row])
            index = torch.randint(n, (self.settings.batch_cells,), generator=self.draws)
            batches.append(self.cells[row].batch(send(index, self.device)))
        return torch.stack([b[0] for b in batches]), torch.stack([b[1] for b in batches])


def _check_shapes(counts: Mapping[str, Tensor], genes: Sequence[str], eta: Tensor) -> None:
    for name, matrix in counts.items():
        if matrix.ndim != 2 or matrix.shape[0] == 0 or matrix.shape[1] != len(genes):
            raise InputError(
                f"condition {name} needs counts of shape (cells, {len(genes)})",
                found=str(tuple(matrix.shape)),
            )
    if eta.shape != (len(genes),):
        raise InputError("eta needs one value per gene", found=str(tuple(eta.shape)))


def fit_priors(
    counts: Mapping[str, Tensor],
    genes: Sequence[str],
    eta: Tensor,
    settings: PriorSettings,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> tuple[ImplicitPriors, TrainingLog]:
    """Infer the implicit prior of every condition and the shared zero probabilities.

    Parameters
    ----------
    counts, genes, eta, settings, seed, device
        See :class:`PriorTraining`.
    checkpoints
        See :func:`lcd_core.training.train`.

    Returns
    -------
    tuple
        The priors, and the rows of the training.

    Raises
    ------
    InputError
        On an empty condition or shapes that do not fit.
    TrainingDiverged
        If the loss stops being finite.
    """
    training = PriorTraining(counts, genes, eta, settings, seed=seed, device=device)
    log = train(training, checkpoints)
    return training.priors(), log


def scale_of(control_counts: Any, settings: PriorSettings) -> Tensor:
    """Rate scale of the genes, (d,), from counts of control cells (n, d); 1 if it is left out."""
    scale = rate_scale(control_counts)
    return scale if settings.gene_scaling else torch.ones_like(scale)


def tempered_evidence(logp: Tensor, temperature: float) -> Tensor:
    """``Z_tau = sum_n tau * log (1/M) sum_m exp(logp[n, m] / tau)`` (Eqs. 9 and 11); scalar."""
    return evidence_of(logp, temperature)[0]


def evidence_of(logp: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """:func:`tempered_evidence` and its gradient, the weights of the states for every cell.

    One softmax gives both: its largest entry is ``exp(max - logsumexp)``. On a CPU it takes a
    tenth of the time of logsumexp, whose exponentials of far-off states end below 1e-38.

    Parameters
    ----------
    logp
        Log-likelihood of cells under states, shape (..., B, M), in nats.
    temperature
        tau; 1 for the evidence itself.

    Returns
    -------
    tuple
        The evidence, a scalar, and the weights, shape (..., B, M), which sum to 1 for a cell.
    """
    scaled = logp if temperature == 1.0 else logp / temperature
    weights = torch.softmax(scaled, dim=-1)
    log_sum = scaled.amax(dim=-1) - weights.amax(dim=-1).log()
    return temperature * (log_sum - math.log(logp.shape[-1])).sum(), weights
