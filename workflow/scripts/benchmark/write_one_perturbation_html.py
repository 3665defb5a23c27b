"""Any one perturbation of the benchmark's screen as a page: observed and predicted, on request."""

import html
import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from benchmark.one_perturbation import perturbations_of
from benchmark.perturbation_page import STYLE, part_of
from lcd_core.errors import InputError
from pipeline.file_names import file_name
from pipeline.html_tables import page, write_page
from pipeline.looks import looks_of
from pipeline.tables import read_tsv


def main(
    *,
    folds_table: str,
    metrics: str,
    targets: str,
    train: Sequence[str],
    test: Sequence[str],
    training_tests: Sequence[str],
    held_out_tests: Sequence[str],
    predictions: Sequence[str],
    fitted: Sequence[str],
    one_page: str,
    perturbation: str,
    folds: Sequence[str],
    shown_methods: Sequence[str],
    values: Sequence[str | None],
    fitted_as: Sequence[Sequence[str]],
    code: Sequence[str],
    looks: Mapping[str, Mapping[str, str]],
    alpha: float,
    n_cells: int,
    seed: int,
) -> None:
    """Write the page.

    A held-out perturbation is shown as the fold that holds it out predicts it. One that all folds
    train on was never predicted: the methods reproduce it from the first fold, and the page says
    that they have seen it.

    Parameters
    ----------
    folds_table
        TSV of folds, perturbations and roles.
    metrics, targets
        Tables over all folds, and of the own genes of perturbations.
    train, test, training_tests, held_out_tests
        Cells and differential expression of each fold, in the order of ``folds``.
    predictions
        For each fold those of ``shown_methods``, in that order.
    fitted
        Files of the first fold from which methods reproduce what they were trained on.
    one_page
        HTML page to write.
    perturbation
        Its name, as the name of the page has it (:func:`pipeline.file_names.file_name`).
    folds, shown_methods, values
        Names of the folds; methods on the page, and what their predictions hold, None where the
        files say it.
    fitted_as
        For each of ``fitted`` the method, as in ``shown_methods``, the module of its last program,
        and the argument of that program that it is.
    code
        Hashes of these programs, so that editing them makes the page anew.
    looks
        Label, colour and kind of every method, in the order of display.
    alpha
        False discovery rate below which a gene is differentially expressed.
    n_cells, seed
        Cells that methods reproduce, on a CPU, and the seed of that.

    Raises
    ------
    InputError
        If there is no such perturbation in the folds.
    """
    roles = read_tsv(folds_table, dtype={"fold": str, "perturbation": str, "role": str})
    roles = roles[roles["fold"].isin(folds)]
    name = named(perturbation, roles["perturbation"].unique().tolist(), folds_table)
    held_out = roles[(roles["perturbation"] == name) & (roles["role"] == "test")]
    shown, own_genes = looks_of(looks), read_tsv(targets, dtype={"perturbation": str, "gene": str})
    scores = read_tsv(metrics, dtype={"fold": str, "method": str, "perturbation": str})
    parts = []
    for fold in held_out["fold"]:
        at = list(folds).index(fold)
        paths = predictions[at * len(shown_methods) : (at + 1) * len(shown_methods)]
        kinds = dict(zip(shown_methods, values, strict=True))
        own = scores[(scores["fold"] == fold) & (scores["perturbation"] == name)]
        by_method = dict(zip(shown_methods, paths, strict=True))
        tests = held_out_tests[at]
        for one in perturbations_of(
            fold, [name], train[at], test[at], tests, by_method, kinds, shown, own_genes
        ):
            parts.append((f"Held out in fold {fold}", part_of(one, shown, own, alpha)))
    introduction = "Predicted without its cells, by models that never saw it."
    if not parts:
        introduction = (
            f"In no fold held out: what is shown are cells that the methods of fold {folds[0]} "
            "reproduce after having been trained on this perturbation, which says how well it is "
            "fit, and nothing about predictions. A method that adds single effects reproduces a "
            "single perturbation by definition."
        )
        with TemporaryDirectory() as folder:
            made = reproduced(
                name, fitted, fitted_as, Path(folder), n_cells=n_cells, seed=seed, device="cpu"
            )
            for one in perturbations_of(
                folds[0], [name], train[0], train[0], training_tests[0], made,
                dict.fromkeys(made), shown, own_genes,
            ):  # fmt: skip
                nothing = pd.DataFrame(columns=["method", "metric", "value"])
                title = f"Trained on in fold {folds[0]}"
                parts.append((title, part_of(one, shown, nothing, alpha)))
    articles = [
        f"<article><h2>{html.escape(title)}</h2>\n{content}</article>" for title, content in parts
    ]
    write_page(page(name, introduction, [], below=articles, style=STYLE), one_page)


def named(wanted: str, names: Sequence[str], where: str) -> str:
    """Find the perturbation whose page has this name, or raise InputError."""
    pages = {file_name(name): name for name in names}
    if wanted in pages:
        return pages[wanted]
    meant = file_name(wanted)
    hint = f"its page is {meant}.html; " if meant in pages else ""
    raise InputError(
        f"there is no perturbation {wanted!r} in the folds",
        where=where,
        found=pages,
        remedy=f"{hint}ask for one of these; targets of a combination are sorted and joined by +",
    )


def reproduced(
    perturbation: str,
    fitted: Sequence[str],
    fitted_as: Sequence[Sequence[str]],
    folder: Path,
    **values: Any,
) -> dict[str, str]:
    """Predictions of one perturbation by the last programs of the methods, by method."""
    names = folder / "names.txt"
    names.write_text(f"{perturbation}\n", encoding="utf-8")
    files: dict[tuple[str, str], dict[str, str]] = {}
    for path, (name, module, argument) in zip(fitted, fitted_as, strict=True):
        files.setdefault((name, module), {})[argument] = path
    made = {}
    for number, ((name, module), own) in enumerate(files.items()):
        made[name] = str(folder / f"{number}.h5ad")
        given = own | values | {
            "test_perturbations": str(names), "prediction": made[name], "keep": "cells"
        }  # fmt: skip
        script = importlib.import_module(module)
        wanted = inspect.signature(script.main).parameters
        script.main(**{argument: given[argument] for argument in wanted})
    return made


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
