"""GEARS, the authors' own package, in an environment of its own."""

from typing import Literal

from pipeline.config.schema import PIPELINE, Names, Section, key
from pipeline.methods import Method, Program

METHODS = "Lorch et al. 2026, Baselines"


class Gears(Section):
    """Settings of GEARS (cell-gears 0.1.2)."""

    gene_sets: Names | None = key(
        None,
        "GMT files with the gene ontology (or other sets) by which targets are similar; null takes "
        "`enrichment.gene_sets`, or of a simulated screen its true pathways. Files under "
        "`downloads/msigdb/<version>/`, such as `downloads/msigdb/2024.1.Hs/c5.go.bp.gmt`, are "
        "fetched from MSigDB. A perturbation with a target that is in none of the sets is left out "
        "of training and not predicted.",
        source="Roohani et al. 2024 (gene ontology)",
    )
    hidden: int = key(64, "Hidden units.", source="cell-gears 0.1.2 (64)", unit="units", ge=1)
    layers: int = key(
        2,
        "Layers of either graph network.",
        source=f"{METHODS} (2, Norman and Wessels)",
        unit="layers",
        ge=1,
    )
    neighbours: int = key(
        20,
        "Most similar genes in either graph.",
        source=f"{METHODS} (20, Norman; 10, Wessels)",
        unit="genes",
        ge=1,
    )
    coexpression: float = key(
        0.8,
        "Least absolute correlation of genes that are neighbours in the graph of co-expression.",
        source=f"{METHODS} (0.8, Norman; 0.4, Wessels)",
        ge=0,
        le=1,
    )
    epochs: int = key(
        20, "Passes over the training cells.", source=f"{METHODS} (20)", unit="epochs", ge=1
    )
    batch: int = key(
        256,
        "Cells per step.",
        source=f"{METHODS} (256, Norman; 32, Wessels)",
        unit="cells",
        ge=2,
    )
    learning_rate: float = key(1e-3, "Of Adam.", source="cell-gears 0.1.2 (1e-3)", gt=0)
    weight_decay: float = key(5e-4, "Of Adam.", source="cell-gears 0.1.2 (5e-4)", ge=0)
    validation: float = key(
        0.1,
        "Share of training perturbations, combinations if there are any, by which it chooses an "
        "epoch.",
        source="cell-gears 0.1.2 (0.1)",
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
    label="GEARS",
    description="Graph networks over similar genes, as their authors publish them "
    "(Roohani et al. 2024).",
    colour="#332288",
    position=66,
    settings=Gears,
    files={"gene_sets": "gene_sets"},
    # Lorch et al. 2026, Baselines
    grid={
        "batch": (32, 256),
        "coexpression": (0.4, 0.8),
        "neighbours": (5, 10, 20),
        "layers": (1, 2),
    },
    programs=(
        Program("prepare", {"inputs": "inputs.npz", "dropped": "dropped.tsv"}, settings=()),
        Program("fit", {"outputs": "outputs.npz"}, threaded=True, environment="gears"),
        Program("predict"),
    ),
)
