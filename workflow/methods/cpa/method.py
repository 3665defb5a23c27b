"""CPA, the authors' own package, in an environment of its own."""

from typing import Literal

from pipeline.config.schema import PIPELINE, Section, key
from pipeline.methods import Method, Program

METHODS = "Lorch et al. 2026, Baselines"


class Cpa(Section):
    """Settings of CPA (cpa-tools 0.8.1, Gaussian loss on log-normalised expression)."""

    latent: int = key(
        256, "Dimensions of the latent state.", source=f"{METHODS} (256)", unit="dimensions", ge=1
    )
    hidden: int = key(
        4096,
        "Hidden units of encoder, decoder and adversary.",
        source=f"{METHODS} (4096, Norman; 2048, Wessels)",
        unit="units",
        ge=1,
    )
    layers: int = key(
        2, "Hidden layers of each network.", source=f"{METHODS} (2)", unit="layers", ge=1
    )
    dropout: float = key(
        0.2, "Of all networks.", source=f"{METHODS} (0.2, Norman; 0, Wessels)", ge=0, lt=1
    )
    adversary: float = key(1.0, "Weight of the adversarial loss.", source=f"{METHODS} (1)", ge=0)
    weight_decay: float = key(1e-8, "Of all networks.", source=f"{METHODS} (1e-8)", ge=0)
    learning_rate: float = key(5e-4, "Of the autoencoder.", source="cpa-tools 0.8.1 (5e-4)", gt=0)
    epochs: int = key(
        1000,
        "Most passes over the training cells.",
        source=f"{METHODS} (1,000)",
        unit="epochs",
        ge=1,
    )
    patience: int = key(
        10,
        "Checks of the held-out training cells, one every ten epochs, without progress before it "
        "stops.",
        source="cpa-tools 0.8.1 (10)",
        unit="checks",
        ge=1,
    )
    batch: int = key(128, "Cells per step.", source="cpa-tools 0.8.1 (128)", unit="cells", ge=2)
    validation: float = key(
        0.1,
        "Share of training cells by which it chooses when to stop.",
        source="cpa-tools 0.8.1 (0.1)",
        gt=0,
        lt=1,
    )
    cells: Literal["shifted", "predicted"] = key(
        "shifted",
        "What is compared: `shifted`, control cells moved by the predicted mean change; "
        "`predicted`, the tool's own cells.",
        source=f"{METHODS} (shifted); {PIPELINE}",
    )


METHOD = Method(
    label="CPA",
    description="The compositional perturbation autoencoder, as its authors publish it "
    "(Lotfollahi et al. 2023).",
    colour="#661100",
    position=65,
    settings=Cpa,
    # Lorch et al. 2026, Baselines
    grid={
        "latent": (64, 256),
        "hidden": (1024, 2048, 4096),
        "weight_decay": (1e-5, 1e-8),
        "dropout": (0.0, 0.2),
        "adversary": (0.01, 1.0),
    },
    programs=(
        Program("prepare", {"inputs": "inputs.npz", "dropped": "dropped.tsv"}, settings=()),
        Program("fit", {"outputs": "outputs.npz"}, threaded=True, environment="cpa"),
        Program("predict"),
    ),
)
