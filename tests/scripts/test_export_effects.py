"""The script that exports the strongest effects."""

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest

from effects import export_effects
from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.tables import read_tsv, write_tsv

GENES = ["A", "B<1>", "C"]


@pytest.fixture
def run(tmp_path):
    def run(obs=None, layers=None, modules=(1, None, 1), **settings):
        #             of A   B<1>   C  (X: cause on rows)
        X = np.array([[9.0, 2.0, -0.5], [0.25, 9.0, -3.0], [1.0, 0.0, 9.0]])
        obs = pd.DataFrame({"perturbed": [True, True, False]}) if obs is None else obs
        obs.index = GENES
        var = pd.DataFrame(index=GENES)
        ad.AnnData(X, obs=obs, var=var, layers=layers).write_h5ad(tmp_path / "e.h5ad")
        table, network = tmp_path / "edges.tsv", tmp_path / "edges.graphml"
        membership = pd.DataFrame(
            {"gene": GENES[: len(modules)], "module": pd.array(modules, dtype="Int64")}
        )
        write_tsv(membership, tmp_path / "modules.tsv")
        export_effects.main(
            effects=str(tmp_path / "e.h5ad"),
            membership=str(tmp_path / "modules.tsv"),
            annotated=str(tmp_path / "annotated.h5ad"),
            edges=str(table),
            graphml=str(network),
            **({"k": 50} | settings),
        )
        return read_tsv(table), nx.read_graphml(network), network.read_bytes()

    return run


def test_table_and_network_hold_the_strongest_edges(run):
    table, network, _ = run(k=3)
    assert table.values.tolist() == [
        [1, "B<1>", "C", -3.0, True],
        [2, "A", "B<1>", 2.0, True],
        [3, "C", "A", 1.0, False],
    ]
    assert network.is_directed()
    assert dict(network.nodes(data="perturbed")) == {"A": True, "B<1>": True, "C": False}
    assert network.edges["B<1>", "C"] == {
        "value": -3.0, "weight": 3.0, "sign": "negative", "rank": 1
    }  # fmt: skip
    assert dict(network.nodes(data="module")) == {"A": 1, "B<1>": 0, "C": 1}
    assert network.edges["A", "B<1>"]["sign"] == "positive"
    assert network.number_of_edges() == 3


def test_more_edges_than_there_are_and_same_bytes(run):
    table, _, first = run(k=100)
    assert len(table) == 6
    assert run(k=100)[2] == first


def test_spread_over_fits_is_exported_where_there_is_any(run):
    sd = np.arange(9.0).reshape(3, 3)
    table, network, _ = run(k=2, layers={"sd": sd, "sign_agreement": sd / 10, "initial": sd})
    assert table.columns.tolist()[-2:] == ["sd", "sign_agreement"]
    assert table["sd"].tolist() == [5.0, 1.0]
    assert network.edges["B<1>", "C"]["sign_agreement"] == pytest.approx(0.5)


def test_modules_are_annotated_on_both_axes(run, tmp_path):
    run(k=1)
    matrix = read_effects(tmp_path / "annotated.h5ad")
    for table in (matrix.obs, matrix.var):
        assert table["module"].isna().tolist() == [False, True, False]
        assert table["module"].dropna().tolist() == [1, 1]


def test_bad_requests_are_refused(run):
    with pytest.raises(InputError, match="k = 0"):
        run(k=0)
    with pytest.raises(InputError, match="perturbed"):
        run(obs=pd.DataFrame({"other": [1, 2, 3]}))
    with pytest.raises(InputError, match=r"(?s)missing.*C"):
        run(modules=(1, 1))
