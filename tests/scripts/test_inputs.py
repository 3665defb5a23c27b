"""Files that a configuration names are looked at before anything is computed."""

import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from effects import check_gene_sets
from lcd_core.errors import InputError
from pipeline.config.source import Source
from pipeline.files import require_plain
from pipeline.inputs import Inputs
from pipeline.tables import read_tsv, write_tsv


def inputs(contents: bool = True) -> Inputs:
    return Inputs(
        Source("mine.yaml"),
        made=[r"results/mine/simulation/(modules|pathways)\.gmt"],
        contents=contents,
    )


@pytest.mark.parametrize("path", ["a{b}.h5ad", "a{b/c.h5ad", "<results>/x.h5ad"])
def test_paths_that_snakemake_would_fill_in(path: str) -> None:
    with pytest.raises(InputError, match=r"(?s)mine.yaml, screen.path: .*found: .*remedy: rename"):
        inputs().file("screen.path", path, "there is no such screen")


def test_odd_paths_that_work(tmp_path: Path) -> None:
    for name in ("a b.h5ad", "it's & #1.h5ad", "Zürich.h5ad", "a>b.h5ad"):
        path = tmp_path / name
        path.touch()
        inputs().file("screen.path", str(path), "there is no such screen")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["mine.yaml, enrichment.gene_sets", "sets.gmt", "downloads/msigdb"]),
        ("", ["no gene sets", "enrichment.gene_sets"]),
        ("one\n", ["line 1", "no gene set", "enrichment.gene_sets"]),
        ("a\t-\tG1\na\t-\tG2\n", ["line 2", "named twice", "enrichment.gene_sets"]),
        (b"\xff\xfe\x00", ["not a text file", "enrichment.gene_sets"]),
    ],
)
def test_gene_sets_are_read_beforehand(tmp_path: Path, content, parts: list[str]) -> None:
    path = tmp_path / "sets.gmt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        inputs().gene_sets("enrichment.gene_sets", [str(path)])
    assert all(part in str(caught.value) for part in parts), caught.value
    if content is not None:
        inputs(contents=False).gene_sets("enrichment.gene_sets", [str(path)])


def test_gene_sets_that_the_run_makes_and_such_of_one_name(tmp_path: Path) -> None:
    inputs().gene_sets("enrichment.gene_sets", ["results/mine/simulation/modules.gmt"])
    with pytest.raises(InputError, match="no such file of gene sets"):
        inputs().gene_sets("enrichment.gene_sets", ["results/mine/simulation/pathway.gmt"])
    paths = [tmp_path / "a" / "sets.gmt", tmp_path / "b" / "sets.gmt"]
    for path in paths:
        path.parent.mkdir()
        path.write_text("s\t-\tG1\n")
    with pytest.raises(InputError, match="the same name"):
        inputs().gene_sets("enrichment.gene_sets", map(str, paths))


def test_predictions_made_elsewhere_are_h5ad_files(tmp_path: Path) -> None:
    path = tmp_path / "mine_1.h5ad"

    def refused(what: str) -> None:
        with pytest.raises(InputError, match=f"(?s)methods.mine.predictions: .*{what}.*folds 1, 2"):
            inputs().prediction("methods.mine.predictions", str(path), "data", ["1", "2"])

    refused("no such prediction")
    path.mkdir()
    refused("no h5ad file")
    path.rmdir()
    path.write_text("perturbation\n")
    refused("no h5ad file")
    path.unlink()
    ad.AnnData(np.ones((1, 1))).write_h5ad(path)
    inputs().prediction("methods.mine.predictions", str(path), "data", ["1", "2"])


def test_interpreters_are_there(tmp_path: Path) -> None:
    inputs().interpreter("environments.python", sys.executable)
    for name in ("", "nonsense3.99", str(tmp_path)):
        with pytest.raises(InputError, match=r"environments.python"):
            inputs().interpreter("environments.python", name)


def test_tables_of_targets_and_annotations_are_read_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"columns target and gene"):
        inputs().table_of_targets("screen.target_genes", str(path))
    with pytest.raises(InputError, match=r"mine.yaml, interactions.annotations\)"):
        inputs().annotations("interactions.annotations", str(path))
    path.write_text("target\tgene\nA\tG1\n")
    inputs().table_of_targets("screen.target_genes", str(path))
    path.write_text("perturbation\ttype\nA+B\tsynergy\n")
    inputs().annotations("interactions.annotations", str(path))


@pytest.mark.parametrize("name", ["a{b}", "a:b", "a\nb", "a\tb"])
def test_folders_in_which_nothing_can_run(name: str) -> None:
    with pytest.raises(InputError, match=r"(?s)such characters.*found:.*remedy: rename"):
        require_plain(f"/home/{name}/project")


@pytest.mark.parametrize("name", ["My Drive", "it's", 'a"b', "A&B#1", "Zürich 數據", "(x) [y]"])
def test_folders_of_other_names(name: str) -> None:
    require_plain(f"/home/{name}/project")


def test_how_gene_sets_cover_the_modelled_genes_is_known_before_any_fit(tmp_path: Path) -> None:
    genes, table = tmp_path / "genes.tsv", tmp_path / "gene_sets.tsv"
    write_tsv(pd.DataFrame({"gene": ["G1", "G2", "G3"]}), genes)
    good, bad = tmp_path / "good.gmt", tmp_path / "bad.gmt"
    good.write_text("a\t-\tG1\tX\nb\t-\tG1\tG2\n")
    bad.write_text("a\t-\tENSG1\n")
    check_gene_sets.main(genes=str(genes), gene_sets=[str(good)], table=str(table))
    assert read_tsv(table).to_dict("records") == [
        {"collection": "good", "terms": 2, "genes": 3, "modelled": 2}
    ]
    with pytest.raises(InputError, match="no modelled gene is in any gene set"):
        check_gene_sets.main(genes=str(genes), gene_sets=[str(good), str(bad)], table=str(table))
