"""Latent causal diffusion (Lorch et al. 2026): two fits and a sampler."""

from pydantic import Field

from pipeline.config.drift import Drift
from pipeline.config.prior import Prior
from pipeline.config.sampling import Sampling
from pipeline.config.schema import Section
from pipeline.config.states import States
from pipeline.methods import Method, Program


class LCD(Section):
    """Settings of the latent causal diffusion."""

    prior: Prior = Field(default_factory=Prior)
    states: States = Field(default_factory=States)
    drift: Drift = Field(default_factory=Drift)
    sampling: Sampling = Field(default_factory=Sampling)


METHOD = Method(
    label="LCD",
    description="Latent causal diffusion (Lorch et al. 2026).",
    colour="#D55E00",
    position=80,
    default=True,
    settings=LCD,
    # Lorch et al. 2026, Methods; temperatures are settings of the prior, the costlier fit
    grid={
        "prior.temperature": (5.0, 20.0, 100.0),
        "drift.hidden": (1024, 2048),
        "drift.weight_decay": (0.03, 0.1, 0.3, 1.0, 3.0),
    },
    programs=(
        Program(
            "fit_prior",
            outputs={"prior": "prior/prior.safetensors", "training_log": "prior/log.tsv"},
            settings=("prior",),
            threaded=True,
        ),
        Program(
            "fit_drift",
            outputs={"model": "model/model.safetensors", "training_log": "model/log.tsv"},
            settings=("states", "drift"),
            threaded=True,
        ),
        Program("predict", settings=("sampling",), threaded=True),
        Program(
            "check_fits",
            outputs={
                "table": "checks/training_conditions.tsv",
                "gene_table": "checks/genes.tsv",
                "state_table": "checks/states.tsv",
            },
            settings=("sampling",),
            threaded=True,
        ),
    ),
)
