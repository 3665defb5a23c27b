"""The script that writes tree, order and membership of modules."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from effects import find_modules
from evaluation.modules import effect_distances, leaf_order, module_tree
from lcd_core.errors import InputError
from pipeline.tables import read_tsv

OUTPUTS = ("tree", "order", "membership", "numbers")
LABELLED = ("order", "membership")
GENES = ["RPL3", "RPL4", "RPS2", "RPS6", "MT1", "MT2", "MT3", "LONE", "rpl9"]


@pytest.fixture(name="A")
def effect_matrix():
    """Ribosomal genes and MT genes as blocks, LONE and rpl9 by themselves."""
    rng = np.random.default_rng(0)
    block = np.array([0, 0, 0, 0, 1, 1, 1, 2, 3])
    scale = np.where(block[:, None] == block, 1.0, 0.001)
    return scale * rng.uniform(0.8, 1.2, (9, 9)) * rng.choice([-1, 1], (9, 9))


@pytest.fixture
def run(tmp_path, A):
    def run(effects=None, seeds=(), **settings):
        if effects is None:
            frame = pd.DataFrame({"perturbed": True}, index=GENES)
            effects = ad.AnnData(A.T, obs=frame, var=pd.DataFrame(index=GENES))
        effects.write_h5ad(tmp_path / "effects.h5ad")
        outputs = {name: str(tmp_path / f"{name}.tsv") for name in OUTPUTS}
        paths = [str(tmp_path / f"seed_{number}.h5ad") for number in range(len(seeds))]
        for path, own in zip(paths, seeds, strict=True):
            own.write_h5ad(path)
        unset = {
            "seed_effects": paths,
            "distance": "effects",
            "markers": [],
            "height": None,
            "number": None,
            "min_size": 5,
        }
        find_modules.main(effects=str(tmp_path / "effects.h5ad"), **outputs, **(unset | settings))
        return {
            name: read_tsv(path, dtype={"module": "Int64"} if name in LABELLED else None)
            for name, path in outputs.items()
        }

    return run


def members(table):
    own = table["membership"].dropna()
    return {frozenset(genes["gene"]) for _, genes in own.groupby("module")}


RIBOSOMAL = frozenset({"RPL3", "RPL4", "RPS2", "RPS6"})
METALLOTHIONEIN = frozenset({"MT1", "MT2", "MT3"})


def test_cuts_agree_where_they_must(run):
    expected = {RIBOSOMAL, METALLOTHIONEIN}
    by_marker = run(cut="markers", markers=["RPL*", "RPS*"], min_size=3)
    assert RIBOSOMAL in members(by_marker)
    assert members(run(cut="number", number=4, min_size=3)) == expected
    assert members(run(cut="height", height=10.0, min_size=3)) == expected
    assert members(run(cut="height", height=10.0, min_size=4)) == {RIBOSOMAL}
    assert members(run(cut="height", height=10.0)) == set()


def test_tables_describe_the_tree(run, A):
    tables = run(cut="number", number=4, min_size=3)
    tree = module_tree(effect_distances(A))
    written = tables["tree"]
    assert written["node"].tolist() == list(range(9, 17))
    np.testing.assert_allclose(
        written[["left", "right", "height", "size"]].to_numpy(dtype=float), tree, rtol=1e-5
    )
    leaves = np.array(GENES)[leaf_order(tree)].tolist()
    assert tables["order"]["gene"].tolist() == leaves
    assert tables["order"]["position"].tolist() == list(range(9))
    assert tables["membership"]["gene"].tolist() == GENES
    merged = tables["order"].merge(tables["membership"], on="gene")
    assert merged["module_x"].equals(merged["module_y"])
    assert tables["membership"].set_index("gene")["module"].isna()["LONE"]


def test_causes_in_another_order_give_the_same_modules(run, A):
    order = np.random.default_rng(1).permutation(9)
    frame = pd.DataFrame({"perturbed": True}, index=np.array(GENES)[order])
    shuffled = ad.AnnData(A.T[order], obs=frame, var=pd.DataFrame(index=GENES))
    expected = run(cut="number", number=4, min_size=3)["tree"]
    pd.testing.assert_frame_equal(
        run(effects=shuffled, cut="number", number=4, min_size=3)["tree"], expected
    )


def test_genes_that_change_together_are_a_module_by_changes(run, A):
    """Whatever their effects are, and a gene that goes the other way is far."""
    rng = np.random.default_rng(2)
    block = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    changes = rng.normal(size=(3, 30))[block] + rng.normal(0, 0.1, (9, 30))
    changes[2] *= -1
    effects = matrix(A.T, GENES, GENES)
    effects.varm["changes"] = changes
    tables = run(effects=effects, distance="changes", cut="number", number=4, min_size=2)
    assert members(tables) == {
        frozenset({"RPL3", "RPL4"}),
        frozenset({"RPS6", "MT1", "MT2"}),
        frozenset({"MT3", "LONE", "rpl9"}),
    }
    with pytest.raises(InputError, match="varm"):
        run(distance="changes", cut="number", number=4)


def test_the_number_in_use_is_marked_whatever_the_cut(run, A):
    heights = module_tree(effect_distances(A))[:, 2]
    for settings in (
        {"cut": "number", "number": 4},
        {"cut": "height", "height": heights[4]},  # five of eight merges are made
        {"cut": "auto"},
    ):
        numbers = run(min_size=3, **settings)["numbers"]
        assert numbers["clusters"].tolist() == list(range(1, 10))
        assert numbers.loc[numbers["chosen"], "clusters"].tolist() == [4]
        assert numbers["stability"].isna().all()
    chosen = numbers[numbers["chosen"]].iloc[0]
    assert (chosen["modules"], chosen["genes"]) == (2, 7)


def test_the_trees_of_single_seeds_decide_with_the_ensemble(run, A):
    same = matrix(A.T, GENES, GENES)
    # equal trees, as of changes of counts, say nothing of stability
    assert run(seeds=[same, same], cut="auto", min_size=3)["numbers"]["stability"].isna().all()
    B = A.copy()
    B[0, 4], B[4, 0] = 2.0, -2.0
    differ = run(seeds=[same, matrix(B.T, GENES, GENES)], cut="auto", min_size=3)["numbers"]
    assert differ["stability"].max() <= 1
    assert differ["stability"].notna().any()
    other = matrix(A.T, GENES[::-1], GENES[::-1])
    with pytest.raises(InputError, match=r"(?s)seed_1.h5ad.*training seed"):
        run(seeds=[same, other], cut="auto")


@pytest.mark.parametrize("settings", [{"cut": "none"}, {"cut": "auto", "min_size": 5}])
def test_without_modules_the_order_of_the_tree_remains(run, A, settings):
    tables = run(**settings)
    assert members(tables) == set()
    assert not tables["numbers"]["chosen"].any()
    leaves = np.array(GENES)[leaf_order(module_tree(effect_distances(A)))].tolist()
    assert tables["order"]["gene"].tolist() == leaves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cut": "markers", "markers": ["HLA-*"]}, r"0 of the modelled genes.*HLA-\*.*RPL3"),
        ({"cut": "markers", "markers": ["LONE"]}, "1 of the modelled genes"),
        ({"cut": "markers"}, "empty"),
        ({"cut": "number", "number": 10}, "10 clusters of 9 genes"),
        ({"cut": "number"}, "needs the setting 'number'"),
        ({"cut": "height"}, "needs the setting 'height'"),
        ({"cut": "colour"}, "unknown way to cut.*colour"),
    ],
)
def test_impossible_cuts_are_refused(run, settings, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        run(**settings)


def matrix(values, causes, genes):
    return ad.AnnData(values, obs=pd.DataFrame(index=causes), var=pd.DataFrame(index=genes))


def test_bad_matrices_are_refused(run, A):
    A[4, 0] = np.nan
    with pytest.raises(InputError, match=r"(?s)effects.h5ad, X.*RPL3 on MT1: nan"):
        run(effects=matrix(A.T, GENES, GENES), cut="number", number=2)
    with pytest.raises(InputError, match="2 causes of 3 genes"):
        run(effects=matrix(np.ones((2, 3)), ["a", "b"], ["a", "b", "c"]), cut="number", number=2)
    with pytest.raises(InputError, match=r"(?s)not among the genes.*x"):
        run(effects=matrix(np.ones((2, 2)), ["a", "x"], ["a", "b"]), cut="number", number=2)
