"""The latent additive model: ``decode(encode(x) + sum_t e_t)``, x a control cell."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lcd_core.conditions import multi_hot
from lcd_core.streams import stream
from pipeline.networks import minimise, perceptron


class LatentAdditive(nn.Module):
    """Encoder, decoder, and an embedding of each target.

    Parameters
    ----------
    genes, latent, hidden, layers
        Sizes.
    targets
        Names of the targets.
    seed
        Of the weights; embeddings start at zero.
    """

    def __init__(
        self, genes: int, latent: int, hidden: int, layers: int, targets: Sequence[str], seed: int
    ) -> None:
        super().__init__()
        generator = stream(seed, "latent_additive", "weights")
        width = [hidden] * layers
        self.targets = list(targets)
        self.encode = perceptron([genes, *width, latent], generator)
        self.decode = perceptron([latent, *width, genes], generator)
        self.embeddings = nn.Parameter(torch.zeros(len(targets), latent))

    def forward(self, control: Tensor, membership: Tensor) -> Tensor:
        """Expression, (n, d), of control cells (n, d) under targets (n, targets)."""
        decoded: Tensor = self.decode(self.encode(control) + membership @ self.embeddings)
        return decoded

    @torch.no_grad()
    def change(self, control: Tensor, targets: Sequence[str]) -> Tensor:
        """Mean change of control cells, (n, d), under some targets, as decoded; (d,), on the CPU.

        A target without an embedding has their mean.
        """
        start = self.encode(control.to(self.embeddings.device))
        known = [self.targets.index(target) for target in targets if target in self.targets]
        moved = self.embeddings[known].sum(dim=0)
        moved = moved + (len(targets) - len(known)) * self.embeddings.mean(dim=0)
        decoded: Tensor = self.decode(start + moved) - self.decode(start)
        return decoded.mean(dim=0).cpu()


def fit_latent_additive(
    expression: Tensor,
    control: Tensor,
    members: Sequence[Sequence[str]],
    targets: Sequence[str],
    *,
    latent: int,
    hidden: int,
    layers: int,
    steps: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    device: torch.device,
) -> LatentAdditive:
    """Train on pairs of a random control cell and a cell of a random condition.

    The loss is the mean squared error of expression, as in PerturBench. Conditions are drawn alike,
    whatever their numbers of cells.

    Parameters
    ----------
    expression
        Log-normalised expression, (cells, d), float32.
    control
        Rows of the control cells.
    members
        Targets of each cell; none for control.
    targets
        Names of all targets.
    latent, hidden, layers, steps, batch, learning_rate, weight_decay
        Settings of the method.
    """
    sets = sorted(set(map(tuple, members)))
    number = {own: i for i, own in enumerate(sets)}
    condition = torch.tensor([number[tuple(own)] for own in members])
    rows = [torch.nonzero(condition == i).flatten() for i in range(len(sets))]
    length = torch.tensor([len(own) for own in rows])
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    membership = multi_hot(sets, targets).to(device, torch.float32)
    cells = expression.to(device)
    model = LatentAdditive(cells.shape[1], latent, hidden, layers, targets, seed).to(device)
    draws = stream(seed, "latent_additive", "batches")

    def loss() -> Tensor:
        drawn = torch.randint(len(sets), (batch,), generator=draws)
        place = (torch.rand(batch, generator=draws) * length[drawn]).long()
        start = control[torch.randint(len(control), (batch,), generator=draws)]
        wanted = cells[padded[drawn, place].to(device)]
        predicted = model(cells[start.to(device)], membership[drawn.to(device)])
        return torch.nn.functional.mse_loss(predicted, wanted)

    minimise(
        loss,
        list(model.parameters()),
        steps=steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        name="latent additive",
    )
    return model
