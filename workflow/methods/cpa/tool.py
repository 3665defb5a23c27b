"""CPA's own training and prediction (cpa-tools 0.8.1); runs in CPA's environment."""

import sys
import types
import warnings

import numpy as np
from scipy import sparse

from pipeline.as_tool import as_tool
from pipeline.exchange import Outputs, read_inputs, save

CONTROL = "ctrl"


def main(
    *,
    inputs: str,
    outputs: str,
    n_cells: int,
    seed: int,
    device: str,
    latent: int,
    hidden: int,
    layers: int,
    dropout: float,
    adversary: float,
    weight_decay: float,
    learning_rate: float,
    epochs: int,
    patience: int,
    batch: int,
    validation: float,
    cells: str,
) -> None:
    """Train on the given cells, then predict each perturbation from control cells.

    The package tells by a column of splits what it trains on (``train``), when it stops
    (``test``), and what it has never seen (``ood``). What stands under the last name are control
    cells with the label of a perturbation to predict: it sees no held-out cell.
    """
    warnings.filterwarnings("ignore")
    try:
        import tkinter  # noqa: F401
    except ImportError:  # the package imports a name of it and never uses it
        sys.modules["tkinter"] = types.SimpleNamespace(N="n")  # type: ignore[assignment]
    import anndata as ad
    import cpa
    import pandas as pd
    import torch

    given = read_inputs(inputs)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    shape = (len(given.indptr) - 1, len(given.genes))
    matrix = sparse.csr_matrix((given.data, given.indices, given.indptr), shape=shape)
    labels = given.conditions[given.condition]
    control = np.flatnonzero(labels == "")
    split = np.full(len(labels), "train", dtype="U5")
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        split[rng.choice(rows, int(len(rows) * validation), replace=False)] = "test"

    wanted = list(given.wanted)
    drawn = [rng.choice(control, min(n_cells, len(control)), replace=False) for _ in wanted]
    unseen = np.concatenate(drawn)
    data = ad.AnnData(
        X=sparse.vstack([matrix, matrix[unseen]]).tocsr().astype(np.float32),
        obs=pd.DataFrame(
            {
                "condition": [
                    *(name or CONTROL for name in labels),
                    *(name for name, rows in zip(wanted, drawn, strict=True) for _ in rows),
                ],
                "split": [*split, *["ood"] * len(unseen)],
                "cell_type": "cells",
            },
            index=[f"c{i}" for i in range(len(labels) + len(unseen))],
        ),
        var=pd.DataFrame(index=list(given.genes)),
    )
    names = {token for label in data.obs["condition"] for token in label.split("+")}
    # It builds fingerprints of molecules from these even where none are asked for.
    cpa.CPA.pert_smiles_map = dict.fromkeys(names, "C")
    cpa.CPA.setup_anndata(
        data,
        perturbation_key="condition",
        control_group=CONTROL,
        categorical_covariate_keys=["cell_type"],
        is_count_data=False,
        max_comb_len=max(label.count("+") + 1 for label in data.obs["condition"]),
    )
    model = cpa.CPA(
        data,
        split_key="split",
        train_split="train",
        valid_split="test",
        test_split="ood",
        n_latent=latent,
        recon_loss="gauss",
        doser_type="linear",
        n_hidden_encoder=hidden,
        n_layers_encoder=layers,
        n_hidden_decoder=hidden,
        n_layers_decoder=layers,
        dropout_rate_encoder=dropout,
        dropout_rate_decoder=dropout,
        seed=seed % 2**31,
    )
    on_gpu = device != "cpu" and torch.cuda.is_available()
    model.train(
        max_epochs=epochs,
        use_gpu=on_gpu,
        batch_size=batch,
        early_stopping_patience=patience,
        check_val_every_n_epoch=min(10, epochs),
        save_path=False,
        enable_progress_bar=False,
        plan_kwargs={
            "lr": learning_rate,
            "wd": weight_decay,
            "adv_wd": weight_decay,
            "doser_wd": weight_decay,
            "reg_adv": adversary,
            "n_hidden_adv": hidden,
            "n_layers_adv": layers,
            "dropout_rate_adv": dropout,
        },
    )
    history = model.epoch_history
    for column in ("recon_loss", "r2_mean", "cpa_metric"):
        if column in history:
            last = history.groupby("mode")[column].last()
            print(f"{column} at the end: " + ", ".join(f"{m} {v:.4g}" for m, v in last.items()))

    model.predict(data, batch_size=2048, n_samples=1)
    predicted = np.asarray(data.obsm["CPA_pred"])[len(labels) :].astype(np.float32)
    ends = np.cumsum([len(rows) for rows in drawn])[:-1]
    own = np.split(predicted, ends)
    shifts = [p.mean(axis=0) - matrix[r].mean(axis=0).A1 for p, r in zip(own, drawn, strict=True)]
    kept = np.stack(own) if cells == "predicted" else np.zeros((0, 0, 0), np.float32)
    save(outputs, Outputs(np.stack(shifts).astype(np.float32), kept))


if __name__ == "__main__":
    as_tool(main)
