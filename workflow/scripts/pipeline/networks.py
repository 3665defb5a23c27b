"""Small networks that methods other than LCD train, with seeded weights and one training loop."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lcd_core.errors import InputError


def perceptron(
    sizes: Sequence[int], generator: torch.Generator, *, zero_last: bool = False
) -> nn.Sequential:
    """Multilayer perceptron with ReLU between its layers.

    Parameters
    ----------
    sizes
        Units of input, hidden layers and output.
    generator
        Draws the weights, uniform in ``+-1 / sqrt(inputs)`` as torch's own.
    zero_last
        Whether the last layer starts at zero.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        for parameter in linear.parameters():
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
        layers += [linear, nn.ReLU()]
    if zero_last:
        for parameter in layers[-2].parameters():
            nn.init.zeros_(parameter)
    return nn.Sequential(*layers[:-1])


def minimise(
    loss: Callable[[], Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    name: str,
) -> None:
    """Adam on a loss that draws its own batch, with a bar of progress.

    Raises
    ------
    InputError
        If the loss is no longer finite.
    """
    # fused, since passes over memory are what a step costs on a CPU
    optimizer = torch.optim.Adam(
        parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    for step in tqdm(range(steps), desc=name, mininterval=5.0):
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % 100 == 0 and not torch.isfinite(value):
            raise InputError(
                f"the training of {name} diverged",
                where=f"step {step + 1}",
                found=str(value.item()),
                remedy="lower its learning_rate",
            )
