"""GEARS's own training and prediction (cell-gears 0.1.2); runs in GEARS's environment."""

import pickle
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

from pipeline.as_tool import as_tool
from pipeline.exchange import Outputs, per_ten_thousand, read_inputs, save

BATCH = 256  # control cells predicted at once


def main(
    *,
    inputs: str,
    outputs: str,
    n_cells: int,
    seed: int,
    device: str,
    gene_sets: object,
    hidden: int,
    layers: int,
    neighbours: int,
    coexpression: float,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    validation: float,
    cells: str,
) -> None:
    """Train on the given cells, then predict each perturbation from control cells.

    ``PertData`` downloads its gene ontology unless the files are there already, in pickles of its
    own. They are written here, from the graph that comes with the inputs, into a folder that is
    deleted afterwards. All nodes of the graph count as perturbations, which is what the package
    does without its default graph.
    """
    warnings.filterwarnings("ignore")
    import anndata as ad
    import pandas as pd
    import torch
    from gears import GEARS, PertData
    from gears.utils import create_cell_graph_for_prediction
    from torch_geometric.loader import DataLoader

    given = read_inputs(inputs)
    np.random.seed(seed % 2**32)  # the package draws from the global generators
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    folder = Path("gears").absolute()  # the working directory is this job's own
    (folder / "go_essential_all").mkdir(parents=True)
    nodes = list(given.nodes)
    with open(folder / "gene2go_all.pkl", "wb") as file:
        pickle.dump({node: {node} for node in nodes}, file)
    with open(folder / "essential_all_data_pert_genes.pkl", "wb") as file:
        pickle.dump(nodes, file)
    pd.DataFrame(
        {
            "source": given.nodes[given.source],
            "target": given.nodes[given.target],
            "importance": given.importance,
        }
    ).to_csv(folder / "go_essential_all" / "go_essential_all.csv", index=False)

    shape = (len(given.indptr) - 1, len(given.genes))
    matrix = sparse.csr_matrix((given.data, given.indices, given.indptr), shape=shape)
    conditions = np.array([condition_of(name) for name in given.conditions])
    labels = conditions[given.condition]
    data = ad.AnnData(
        X=matrix,
        obs=pd.DataFrame(
            {"condition": labels, "cell_type": "cells"}, index=[f"c{i}" for i in range(len(labels))]
        ),
        var=pd.DataFrame({"gene_name": list(given.genes)}, index=list(given.genes)),
    )
    screen = PertData(str(folder))
    screen.new_data_process("screen", adata=data)
    screen.load(data_path=str(folder / "screen"))
    combined = [name for name in conditions if "ctrl" not in name]
    candidates = combined or [name for name in conditions if name != "ctrl"]
    held_out = rng.choice(candidates, max(1, int(len(candidates) * validation)), replace=False)
    # Not one of its own splits, all of which hold perturbations out for a test.
    screen.split, screen.seed, screen.train_gene_set_size = "no_test", seed, 1.0
    screen.set2conditions = {
        "train": [name for name in conditions if name not in set(held_out)],
        "val": list(held_out),
    }
    screen.get_dataloader(batch_size=batch, test_batch_size=batch)

    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    model = GEARS(screen, device=place)
    model.model_initialize(
        hidden_size=hidden,
        num_go_gnn_layers=layers,
        num_gene_gnn_layers=layers,
        num_similar_genes_go_graph=neighbours,
        num_similar_genes_co_express_graph=neighbours,
        coexpress_threshold=coexpression,
    )
    model.train(epochs=epochs, lr=learning_rate, weight_decay=weight_decay)

    network = model.best_model.to(place).eval()
    control = np.flatnonzero(given.conditions[given.condition] == "")
    shifts, own = [], []
    for name in given.wanted:
        targets = str(name).split("+")
        index = [model.pert_list.index(target) for target in targets]
        rows = rng.choice(control, min(n_cells, len(control)), replace=False)
        basal = matrix[rows].toarray()
        graphs = [create_cell_graph_for_prediction(cell[None], index, targets) for cell in basal]
        with torch.no_grad():
            predicted = torch.cat(
                [network(part.to(place)).cpu() for part in DataLoader(graphs, BATCH)]
            ).numpy()
        total = float(given.total)
        predicted, basal = (per_ten_thousand(values, total) for values in (predicted, basal))
        shifts.append((predicted - basal).mean(axis=0))
        own.append(predicted)
    kept = np.stack(own) if cells == "predicted" else np.zeros((0, 0, 0))
    save(outputs, Outputs(np.stack(shifts).astype(np.float32), kept.astype(np.float32)))


def condition_of(tokens: str) -> str:
    """Name that the package expects: ``ctrl``, ``A+ctrl``, ``A+B``."""
    if not tokens:
        return "ctrl"
    return tokens if "+" in tokens else f"{tokens}+ctrl"


if __name__ == "__main__":
    as_tool(main)
