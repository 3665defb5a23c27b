"""PEPER: SALT with a learned correction."""

from pipeline.config.schema import Section, key
from pipeline.methods import Method, Program

METHODS = "Lorch et al. 2026, Baselines"


class Peper(Section):
    """Settings of PEPER."""

    hidden: int = key(
        1024, "Hidden units of either network.", source=f"{METHODS} (1024)", unit="units", ge=1
    )
    layers: int = key(
        2, "Hidden layers of either network.", source=f"{METHODS} (2)", unit="layers", ge=1
    )
    steps: int = key(30_000, "Optimizer steps.", source=f"{METHODS} (30,000)", unit="steps", ge=0)
    learning_rate: float = key(
        1e-3, "Of Adam. Released code: 1e-4.", source=f"{METHODS} (0.001)", gt=0
    )
    weight_decay: float = key(0.003, "Of Adam.", source=f"{METHODS} (0.003, Norman)", ge=0)
    batch: int = key(
        256,
        "Training combinations per step, all if there are fewer. Published: 256 cells; here the "
        "means are those of all cells of a condition.",
        source=f"{METHODS} (256)",
        unit="combinations",
        ge=1,
    )


METHOD = Method(
    label="PEPER",
    description="SALT with a correction learned from training combinations (Gaudelet et al. 2024).",
    colour="#E69F00",
    position=60,
    settings=Peper,
    # Lorch et al. 2026, Baselines
    grid={"weight_decay": (0.1, 0.003, 0.0001), "layers": (1, 2), "hidden": (256, 1024)},
    programs=(Program("predict", threaded=True),),
)
