"""Names from the data: never paths, never commands, the same after every file."""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from external import export_cells
from lcd_core.errors import InputError
from pipeline.differential_expression import read_differential_expression
from pipeline.figures import new_figure, save, style
from pipeline.file_names import LONGEST, file_name
from pipeline.predictions import prediction_writer
from pipeline.screen import CONTROL, SEPARATOR, read_names, read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from screen import (
    differential_expression,
    summarise_perturbations,
    write_differential_expression_html,
    write_perturbation_html,
)

ODD = ["../../x", "A/B", "-rf", "n" * 300, "m" * 300, "Zürich 數據", "ß" * 150, ".hidden", "..",
       "{x}", "<b>x</b>", "A\\B", "#c", "=1", "1", "1e5", "a;b|c&d", "$HOME`x`", "%s", "%2F",
       "~", "q\"uo'te", "'q'", '"q"', "a,b", "a b", "x\u2028y", "x\x85y", "A%2FB",
       "None", "True"]  # fmt: skip
GENES = [f"GENE{i}" for i in range(8)] + ['g"q', "<i>g", "../g", "{y}", "g,1", "#g", "1", "True"]

printable = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=400
)


@given(st.sets(printable | st.sampled_from(ODD), min_size=1, max_size=20))
def test_a_file_has_the_name_of_one_name_and_lies_in_its_folder(names: set[str]) -> None:
    files = {name: file_name(name) for name in names}
    assert len(set(files.values())) == len(names)
    for file in files.values():
        assert 0 < len(file.encode()) <= LONGEST
        assert file[0] not in ".-"
        assert not set(file) & set("/\\{}<>$`\"'\n\t|&;*?")
        assert Path("/a/b", f"{file}.html").parent == Path("/a/b")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("GENE1", "GENE1"),
        ("A+B", "A+B"),
        ("HLA-DRB1 (x)", "HLA-DRB1 (x)"),
        ("A/B", "A%2FB"),
        ("..", "%2E."),
        ("-rf", "%2Drf"),
        ("%2F", "%252F"),
        ("é", "é"),
    ],
)
def test_ordinary_names_stay_as_they_are(name: str, file: str) -> None:
    assert file_name(name) == file


@given(st.lists(printable | st.sampled_from(ODD), min_size=1, max_size=10))
def test_tables_give_names_back(tmp_path_factory, names: list[str]) -> None:
    names = [name for name in names if name != "NA"] or ["x"]  # a missing value, refused at import
    path = tmp_path_factory.mktemp("table") / "names.tsv"
    write_tsv(pd.DataFrame({"perturbation": names, "value": 1.0}), path)
    assert read_tsv(path, dtype={"perturbation": str})["perturbation"].tolist() == names


def test_lists_of_names_give_names_back(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("".join(f"{name}\n" for name in ODD), encoding="utf-8")
    assert read_names(path) == ODD


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """Folder with a screen of odd names, its tests and their summary."""
    folder = tmp_path_factory.mktemp("odd")
    labels = np.repeat([CONTROL, *ODD, f"1{SEPARATOR}A/B"], 6)
    counts = np.random.default_rng(0).poisson(3, (len(labels), len(GENES)))
    cells = ad.AnnData(
        sparse.csr_matrix(counts.astype(np.int32)),
        obs=pd.DataFrame(
            {"perturbation": pd.Categorical(labels), "library_size": counts.sum(1).astype(float)},
            index=[f"cell{i}" for i in range(len(labels))],
        ),
        var=pd.DataFrame(index=GENES),
    )
    write_h5ad(cells, folder / "screen.h5ad")
    differential_expression.main(
        screen=str(folder / "screen.h5ad"), tests=str(folder / "tests.h5ad"), n_threads=1
    )
    write_tsv(pd.DataFrame(columns=["gene", "step", "n_cells", "targets"]), folder / "removed.tsv")
    summarise_perturbations.main(
        tests=str(folder / "tests.h5ad"),
        removed_genes=str(folder / "removed.tsv"),
        perturbations=str(folder / "perturbations.tsv"),
        targets=str(folder / "targets.tsv"),
        alpha=0.05,
    )
    return folder


def test_summaries_and_pages_have_every_name(odd: Path) -> None:
    table = read_tsv(odd / "perturbations.tsv", dtype={"perturbation": str})
    assert set(table["perturbation"]) == {*ODD, "1+A/B"}
    write_differential_expression_html.main(
        perturbations=str(odd / "perturbations.tsv"),
        targets=str(odd / "targets.tsv"),
        tables_page=str(odd / "all.html"),
        alpha=0.05,
    )
    text = (odd / "all.html").read_text(encoding="utf-8")
    body = text[text.index("<main>") :]
    assert "<b>x</b>" not in body
    assert "&lt;b&gt;x&lt;/b&gt;" in body


def test_every_perturbation_has_a_page_in_the_folder_of_pages(odd: Path) -> None:
    folder = odd / "pages"
    names = read_differential_expression(odd / "tests.h5ad").obs_names
    for name in names:
        write_perturbation_html.main(
            tests=str(odd / "tests.h5ad"),
            targets=str(odd / "targets.tsv"),
            tables_page=str(folder / f"{file_name(name)}.html"),
            perturbation=file_name(name),
            alpha=0.05,
        )
    assert len(list(folder.iterdir())) == len(names) == len(ODD) + 1
    text = (folder / f"{file_name('<b>x</b>')}.html").read_text(encoding="utf-8")
    assert "<b>x</b>" not in text
    with pytest.raises(InputError, match=r"(?s)'A/B'.*its page is A%2FB\.html"):
        write_perturbation_html.main(
            tests=str(odd / "tests.h5ad"),
            targets=str(odd / "targets.tsv"),
            tables_page=str(folder / "none.html"),
            perturbation="A/B",
            alpha=0.05,
        )


def test_predictions_and_exports_for_other_evaluators_give_names_back(odd: Path) -> None:
    cells = read_screen(odd / "screen.h5ad")
    names = sorted(set(cells.obs["perturbation"]) - {CONTROL})
    (odd / "wanted.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    with prediction_writer(
        str(odd / "prediction.h5ad"), cells.var_names, keep="cells", values="counts"
    ) as writer:
        for name in names:
            writer.add_generated(name, cells.X[:3].toarray())
    export_cells.main(
        train=str(odd / "screen.h5ad"),
        test=str(odd / "screen.h5ad"),
        test_perturbations=str(odd / "wanted.txt"),
        prediction=str(odd / "prediction.h5ad"),
        observed_cells=str(odd / "observed.h5ad"),
        predicted_cells=str(odd / "predicted.h5ad"),
        values=None,
    )
    for file in ("observed.h5ad", "predicted.h5ad"):
        written = ad.read_h5ad(odd / file)
        assert set(written.obs["perturbation"]) == {CONTROL, *names}
        assert written.var_names.tolist() == GENES


@pytest.mark.parametrize("name", ["a$b$c", r"$\nothing{$", "$5", "$x_1$"])
def test_dollars_of_names_are_drawn_as_they_are(tmp_path: Path, name: str) -> None:
    with style():
        figure = new_figure(2.0)
        axes = figure.subplots()
        axes.set_title(name)
        axes.bar([0, 1], [1, 1e6])
        axes.set_yscale("log")
        axes.set_xticks([0, 1], [name, "GENE1"])
        save(figure, tmp_path / "figure.svg")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    svg = re.sub("<!--.*?-->", "", svg, flags=re.DOTALL)
    assert svg.count(f">{name}<") == 2
    assert "mathdefault" not in svg  # powers of ten are formulas
    assert "10^" not in svg
