"""A method for tests: all that a new method needs is this folder."""

from pipeline.config.schema import PIPELINE, Section, key
from pipeline.methods import Method


class Toy(Section):
    """Settings of the toy."""

    factor: float = key(
        1.0, "What the additive effect is multiplied by.", source=PIPELINE, ge=-10, le=10
    )


METHOD = Method(
    label="Toy",
    description="Control cells shifted by a multiple of the additive effect.",
    colour="#AA4499",
    position=50,
    settings=Toy,
    grid={"factor": (-1.0, 1.0)},
)
