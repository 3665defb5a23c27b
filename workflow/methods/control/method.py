"""Control cells: the floor that a method must beat."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Control\ncells",
    description="Control cells, as if no perturbation did anything.",
    colour="#8C8C8C",
    position=10,
    kind="baseline",
    default=True,
    programs=QUICK,
)
