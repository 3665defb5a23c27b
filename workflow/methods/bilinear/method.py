"""The linear model of gene and perturbation embeddings (Ahlmann-Eltze et al. 2025)."""

from pipeline.config.schema import Section, key
from pipeline.methods import QUICK, Method

SOURCE = "Ahlmann-Eltze et al. 2025"


class Bilinear(Section):
    """Settings of the bilinear model."""

    dimensions: int = key(
        10,
        "Principal components of the training means that embed genes; at most one less than there "
        "are training perturbations.",
        source=SOURCE,
        ge=1,
    )
    ridge: float = key(0.1, "Ridge of either side.", source=SOURCE, gt=0)


METHOD = Method(
    label="Bilinear",
    description="Control cells shifted by a linear function of gene and perturbation embeddings "
    "(Ahlmann-Eltze et al. 2025); a combination has the sum of its targets' embeddings.",
    colour="#44AA99",
    position=50,
    default=True,
    settings=Bilinear,
    grid={"dimensions": (5, 10, 20, 50), "ridge": (0.01, 0.1, 1.0)},
    programs=QUICK,
)
