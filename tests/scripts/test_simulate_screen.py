"""The files of a simulated screen."""

import hashlib

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import isspmatrix_csr

from lcd_core.errors import InputError
from pipeline.tables import read_tsv, write_tsv
from screen import simulate_screen as script
from simulation import simulator

SETTINGS = {
    "network": "modules",
    "genes": 40,
    "targets": 5,
    "targets_from": "regulators",
    "doubles": 4,
    "cells_per_condition": 6,
    "control_cells": 9,
    "kind": "knockdown",
    "failed_share": 0.4,
    "confounding": 0.0,
    "depth": 1.0,
    "dominant_gene": None,
    "seed": 11,
}


def run(folder, **changes):
    paths = {
        "screen": folder / "screen.h5ad",
        "effects": folder / "effects.tsv",
        "indirect": folder / "indirect.tsv",
        "perturbed": folder / "targets.tsv",
        "modules": folder / "modules.gmt",
        "pathways": folder / "pathways.gmt",
    }
    script.main(**{name: str(path) for name, path in paths.items()}, **(SETTINGS | changes))
    return paths


def test_screen_is_an_anndata_of_integer_counts(tmp_path) -> None:
    screen = ad.read_h5ad(run(tmp_path)["screen"])
    truth = simulator.simulate_screen(**SETTINGS)
    assert isspmatrix_csr(screen.X)
    assert screen.X.dtype == np.int32
    np.testing.assert_array_equal(screen.X.toarray(), truth.counts)
    assert list(screen.var_names) == list(truth.genes)
    assert screen.obs_names.is_unique
    assert isinstance(screen.obs["perturbation"].dtype, pd.CategoricalDtype)
    assert list(screen.obs["perturbation"]) == truth.perturbations.tolist()
    assert screen.obs["perturbation"].value_counts()["control"] == 9
    assert screen.n_obs == 9 + 9 * 6


def test_effects_are_the_edges_of_the_true_graph(tmp_path) -> None:
    edges = pd.read_csv(run(tmp_path)["effects"], sep="\t")
    truth = simulator.simulate_screen(**SETTINGS)
    assert list(edges.columns) == ["cause", "effect", "weight", "sign"]
    assert len(edges) == np.count_nonzero(truth.effects)
    matrix = pd.DataFrame(0.0, index=list(truth.genes), columns=list(truth.genes))
    for row in edges.itertuples():
        matrix.loc[row.effect, row.cause] = row.weight
    np.testing.assert_allclose(matrix, truth.effects, rtol=1e-5)
    np.testing.assert_array_equal(edges["sign"], np.sign(edges["weight"]))


def test_indirect_effects_are_pairs_without_an_edge_two_or_three_steps_apart(tmp_path) -> None:
    paths = run(tmp_path, network="cascades")
    graph = nx.from_pandas_edgelist(
        read_tsv(paths["effects"]), "cause", "effect", create_using=nx.DiGraph
    )
    expected = {
        (cause, effect, steps)
        for cause, lengths in nx.all_pairs_shortest_path_length(graph, cutoff=3)
        for effect, steps in lengths.items()
        if steps > 1
    }
    table = read_tsv(paths["indirect"])
    assert list(table.columns) == ["cause", "effect", "steps"]
    assert set(table.itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected)


def test_targets_say_what_their_perturbation_does(tmp_path) -> None:
    paths = run(tmp_path)
    table = read_tsv(paths["perturbed"])
    names = set(ad.read_h5ad(paths["screen"]).obs["perturbation"])
    assert list(table.columns) == ["target", "fold_change", "failed"]
    assert list(table["target"]) == sorted(
        name for name in names if "+" not in name and name != "control"
    )
    assert table["failed"].sum() == 2  # of five, share 0.4
    assert table.loc[table["failed"], "fold_change"].eq(1).all()
    assert table.loc[~table["failed"], "fold_change"].lt(0.5).all()


def test_modules_are_a_gmt_of_simulated_genes(tmp_path) -> None:
    paths = run(tmp_path)
    genes = set(ad.read_h5ad(paths["screen"]).var_names)
    rows = [line.split("\t") for line in paths["modules"].read_text().splitlines()]
    modules = {name: members for name, _, *members in rows}
    assert "SIM_RIBOSOME" in modules
    assert all(gene.startswith(("RPL", "RPS")) for gene in modules["SIM_RIBOSOME"])
    members = [gene for module in modules.values() for gene in module]
    assert len(members) == len(set(members))
    assert set(members) < genes


def test_no_doubles_gives_a_screen_of_singles(tmp_path) -> None:
    names = ad.read_h5ad(run(tmp_path, doubles=0)["screen"]).obs["perturbation"].unique()
    assert len(names) == 6
    assert not any("+" in name for name in names)


def test_without_regulation_the_table_of_effects_is_empty(tmp_path) -> None:
    free = simulator.simulate_screen(regulation_strength=0.0, seed=1)
    write_tsv(script.edge_table(free), tmp_path / "effects.tsv")
    edges = pd.read_csv(tmp_path / "effects.tsv", sep="\t")
    assert list(edges.columns) == ["cause", "effect", "weight", "sign"]
    assert edges.empty


def test_same_seed_same_files(tmp_path) -> None:
    def digests(folder, **changes):
        folder.mkdir()
        paths = run(folder, **changes).values()
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    other = digests(tmp_path / "c", seed=12)
    assert first[:2] != other[:2]


def test_refused_settings_leave_no_files(tmp_path) -> None:
    with pytest.raises(InputError, match=r"simulation\.doubles"):
        run(tmp_path, doubles=11)
    assert not any(tmp_path.iterdir())
