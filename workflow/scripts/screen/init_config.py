"""Look at a screen and write a first configuration for it: ``make config SCREEN=data/mine.h5ad``.

What the file says is taken over, what it does not say is guessed and marked as such, with the
alternatives as comments; sizes are those of :mod:`pipeline.sizes`. The file that is written is a
beginning: it is to be read.
"""

import argparse
import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from lcd_core.atomic import atomic
from lcd_core.errors import InputError, shown
from pipeline import sizes
from pipeline.config.config import load_config
from pipeline.config.source import Source
from pipeline.guesses import (
    Labels,
    batch_columns,
    candidates,
    looks_alike,
    most_frequent,
    symbol_column,
)
from pipeline.inputs import Inputs
from pipeline.labels import canonical_names
from pipeline.plan import Plan
from pipeline.sampled_rows import some_rows
from pipeline.screen import CONTROL, targets_of
from pipeline.sizes import Machine, Panel
from pipeline.user_files import Parts, UserFile, element, layers_of
from screen.import_screen import cell_names, gene_names, holds_whole_numbers, read_table

DOMINANT = 0.2
"""Share of all counts above which one gene is a reason for other size factors."""
RARE = 0.3
"""Share of the cells that have the median gene below which states are logarithms of rates."""
MEDIAN_GENES = 500
"""Genes in the median cell from which on cells of fewer than 200 are outliers."""


@dataclass(frozen=True)
class Found:
    """What a file holds, as far as it can be seen without reading all of it.

    Attributes
    ----------
    obs, var
        Tables of cells and genes.
    counts
        Where the counts are, as ``screen.counts`` has it.
    gene_column
        Column of ``var`` with unique names of genes; None for its index.
    genes
        Names of the genes.
    looked_at
        Number of cells whose counts were looked at.
    seen
        Share of these cells that have a gene, (genes,).
    genes_per_cell
        Median number of genes in these cells.
    dominant
        Largest share of all counts that one gene has, and its name.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    counts: str
    gene_column: str | None
    genes: pd.Index
    looked_at: int
    seen: NDArray[np.float64]
    genes_per_cell: float
    dominant: tuple[float, str]


def main(
    *,
    screen: str,
    output: str | None,
    column: str | None,
    control: Sequence[str],
    separator: Sequence[str] | None,
    cores: int | None,
    device: str,
    estimate: bool,
) -> Path:
    """Write the configuration and say what was found; the estimate of the time runs after it.

    Parameters
    ----------
    screen
        The user's file: h5ad, h5mu or 10x HDF5.
    output
        YAML to write; None for one in ``config/`` named after the screen.
    column, control, separator
        Column of the perturbations, labels of the control, what joins targets; None or empty for
        what is guessed.
    cores
        CPU cores of the run; None for those of this machine.
    device
        ``auto``, ``cpu`` or ``cuda``: whether sizes are those for a GPU.
    estimate
        Whether the time of the run is estimated.

    Returns
    -------
    Path of the configuration.

    Raises
    ------
    InputError
        If the file cannot be read, nothing in it can be taken for perturbations or their control,
        nothing can be learned from it, or the configuration is there already.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(screen).name.split(".")[0]).strip("_") or "mine"
    name = "my_screen" if name in ("config", "default") else name  # not those of the default run
    path = Path(output or f"config/{name}.yaml")
    if path.exists():
        raise InputError(
            "there is such a configuration already",
            where=str(path),
            remedy="delete or rename it, or write another: make config SCREEN=... "
            "OUTPUT=config/other.yaml",
        )
    Inputs(Source(str(path)), made=(), contents=True).path("screen.path", screen)
    found = look_at(screen)
    guesses = choose_column(found, screen, column, control, separator)
    machine = Machine.here(cores, gpu={"cpu": False, "cuda": True}.get(device))
    run = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_") or name
    text = configuration(run, screen, found, guesses, machine, device)
    values = yaml.safe_load(text)
    Plan(load_config(values, str(path)), str(path))  # it is one
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    report(path, found, guesses[0], values)
    if estimate:
        estimate_time(path, machine)
    return path


# --- the file -------------------------------------------------------------------------------------


def look_at(path: str) -> Found:
    """Read the tables of a user's file, and the counts of some of its cells."""
    with UserFile(path).parts() as (parts, place):
        obs = read_table(parts, "obs", place)
        cell_names(obs, place)
        counts, key = where_counts_are(parts, place)
        var = read_table(parts, "raw/var" if key == "raw/X" else "var", place)
        rows = some_rows(element(parts, key), len(obs))
    gene_column = unique_names(var)
    genes = gene_names(var, gene_column, place)
    if rows.shape[1] != len(genes):
        raise InputError(
            "the matrix does not fit var",
            where=f"{place}, {key}",
            found=f"{rows.shape[1]} columns, {len(genes)} genes",
            remedy="write the file again",
        )
    by_gene = np.asarray(rows.sum(axis=0, dtype=np.float64)).ravel()
    total = max(by_gene.sum(), 1.0)
    largest = int(by_gene.argmax())
    return Found(
        obs,
        var,
        counts,
        gene_column,
        genes,
        rows.shape[0],
        rows.getnnz(axis=0) / max(rows.shape[0], 1),
        float(np.median(rows.getnnz(axis=1))) if rows.shape[0] else 0.0,
        (float(by_gene[largest] / total), str(genes[largest])),
    )


def where_counts_are(parts: Parts, place: str) -> tuple[str, str]:
    """The first of ``X``, ``.raw`` and the layers that holds whole numbers, and its path."""
    keys = {"X": "X", "raw": "raw/X"} | {layer: f"layers/{layer}" for layer in layers_of(parts)}
    for name, key in keys.items():
        matrix = element(parts, key)
        if matrix is not None and holds_whole_numbers(matrix):
            return name, key
    raise InputError(
        "no matrix of the file holds raw counts, nonnegative integers",
        where=place,
        found=f"{shown(keys)}: normalised, transformed or missing",
        remedy="give the file that was made before normalisation, with the counts in X or a layer",
    )


def unique_names(var: pd.DataFrame) -> str | None:
    """Column of ``var`` with names of genes where those of its index are not unique."""
    if var.index.is_unique:
        return None
    unique = [name for name in var.columns if var[name].notna().all() and var[name].is_unique]
    return str(unique[0]) if unique else None


# --- the labels -----------------------------------------------------------------------------------


def choose_column(
    found: Found,
    screen: str,
    column: str | None,
    control: Sequence[str],
    separator: Sequence[str] | None,
) -> list[Labels]:
    """The column of the perturbations with what its labels mean, and other columns after it.

    Raises
    ------
    InputError
        If nothing can be guessed, or what was said or guessed does not go with the labels.
    """
    place = f"{screen}, obs"
    if column is not None and column not in found.obs.columns:
        raise InputError(
            f"there is no column {column!r}",
            where=place,
            found=shown(found.obs.columns) or "no columns",
            remedy="set COLUMN to a column of the file",
        )
    known = {str(gene) for gene in found.genes}
    for name in found.var.columns:
        if not pd.api.types.is_numeric_dtype(found.var[name]):
            known |= set(found.var[name].dropna().astype(str))
    options = candidates(found.obs, known, column=column)
    if not options:
        raise InputError(
            "no column looks as if it named the perturbation of each cell",
            where=place,
            found=(
                f"{name} ({found.obs[name].nunique()} values, such as "
                f"{shown(repr(str(own)) for own in found.obs[name].unique()[:3])})"
                for name in found.obs.columns
            )
            if len(found.obs.columns)
            else "no columns",
            remedy="say which: make config SCREEN=... COLUMN=name CONTROL=label; where guides are "
            "in another table, copy README's template and name it by screen.cells_table",
        )
    best = options[0]
    if control:
        absent = [label for label in control if label not in best.number]
        if absent:
            raise InputError(
                f"no cell has the label {absent[0]!r}",
                where=f"{place}[{best.column!r}]",
                found=most_frequent(best.number),
                remedy="set CONTROL to a label of this column, or COLUMN to another",
            )
        best = with_controls(best, list(control))
    if not best.controls:
        raise InputError(
            "no label reads like the control",
            where=f"{place}[{best.column!r}]",
            found=most_frequent(best.number),
            remedy="say which label marks unperturbed cells: make config SCREEN=... CONTROL=label"
            + (f" (or another column: {', '.join(o.column for o in options[1:4])})"
               if len(options) > 1 else ""),
        )  # fmt: skip
    if separator is not None:
        best = Labels(**{**vars(best), "separators": list(separator)})
    return [with_names_that_work(best, found, place), *options[1:]]


def with_controls(labels: Labels, control: list[str]) -> Labels:
    """The same labels with a control that was said."""
    others = [own for own in (*labels.controls, *labels.other_controls) if own not in control]
    return Labels(
        **{
            **vars(labels),
            "controls": control,
            "other_controls": others,
            "ignored": [own for own in labels.ignored if own not in control],
            "dropped": [own for own in labels.dropped if own not in control],
        }
    )


def with_names_that_work(labels: Labels, found: Found, place: str) -> Labels:
    """The first of the readings of the labels that the import accepts: split, or whole."""
    first = None
    for separators in dict.fromkeys([tuple(labels.separators), ()]):
        reading = Labels(**{**vars(labels), "separators": list(separators)})
        try:
            names_of(reading, found, place)
        except InputError as error:
            first = first or error
        else:
            return reading
    assert first is not None
    raise first


def names_of(labels: Labels, found: Found, place: str) -> dict[str, str]:
    """Canonical name of every label that is kept, as the import has it."""
    kept = [label for label in labels.number.elements() if label not in labels.dropped]
    where = f"{place}[{labels.column!r}]"
    logging.disable(logging.WARNING)  # the import will say it again
    try:
        return canonical_names(
            kept, labels.controls, labels.separators, labels.ignored, found.genes, where
        )
    finally:
        logging.disable(logging.NOTSET)


def cells_of(labels: Labels, found: Found, place: str) -> Counter[str]:
    """Cells of every condition."""
    cells: Counter[str] = Counter()
    for label, name in names_of(labels, found, place).items():
        cells[name] += labels.number[label]
    return cells


# --- the configuration ----------------------------------------------------------------------------


def configuration(
    run: str, screen: str, found: Found, guesses: Sequence[Labels], machine: Machine, device: str
) -> str:
    """Text of the configuration, a comment beside everything that is guessed or adapted.

    Raises
    ------
    InputError
        If neither combinations can be held out nor effects be estimated.
    """
    labels, others = guesses[0], guesses[1:]
    n_cells = len(found.obs)
    all_cells = cells_of(labels, found, f"{screen}, obs")
    least = sizes.cells_per_perturbation(all_cells)
    cells = {q: n for q, n in all_cells.items() if q == CONTROL or n >= least}
    if all_cells[CONTROL] < sizes.FEWEST_CELLS:
        raise InputError(
            f"the control has fewer than {sizes.FEWEST_CELLS} cells",
            where=f"{screen}, obs[{labels.column!r}]",
            found=f"{shown(map(repr, labels.controls))}: {all_cells[CONTROL]} cells",
            remedy="say which label is the control: make config SCREEN=... CONTROL=label",
        )
    targets = {target for name in cells for target in targets_of(name)}
    symbols = symbol_column(found.var, map(str, found.genes), targets)
    target_genes = genes_of(targets, found, symbols)
    with_effects = Panel(cells, 0, 0).singles[: sizes.FEWEST_SINGLES]
    bound = gene_bound(found, target_genes, effects=len(with_effects) == sizes.FEWEST_SINGLES)
    passing = int((found.seen * n_cells >= bound).sum())
    panel = Panel(cells, max(passing, 1), len(target_genes))
    wanted = sizes.modelled_genes(panel, machine)
    genes = panel.genes if wanted is None else wanted
    singles_hit = sum(name in target_genes for name in panel.singles)
    folds = sizes.folds(panel, machine)
    effects = sizes.effects(panel, min(singles_hit, genes), machine)
    if folds is None and effects is None:
        raise InputError(
            "the screen has too few perturbations: neither two combinations that could be held "
            f"out, nor {sizes.FEWEST_SINGLES} of one target to read effects from",
            where=f"{screen}, obs[{labels.column!r}]",
            found=(f"{name} ({n} cells)" for name, n in all_cells.items()),
            remedy=f"check the column, the control ({shown(map(repr, labels.controls))}) and the "
            f"separator ({shown(map(repr, labels.separators)) or 'none'}): make config SCREEN=... "
            "COLUMN=... CONTROL=... SEPARATOR=...",
        )
    lines = head(screen, found, panel, machine)
    lines += [f"run: {scalar(run)}", f"device: {device}"]
    lines += analyses(panel, folds, effects)
    lines += ["", *screen_section(screen, found, labels, others, symbols, targets, target_genes)]
    lines += ["", *quality_control(found, labels, all_cells, bound, passing, least)]
    if folds is not None:
        lines += ["", *folds_section(panel, folds)]
    lines += ["", "genes:", *gene_lines(panel, wanted)]
    few = bool(np.median(found.seen[found.seen * n_cells >= bound] if passing else 0.0) < RARE)
    coordinates = states(folds is not None, effects is not None, few_counts=few)
    lines += ["", *methods(panel, genes, machine), *coordinates]
    if genes < 20:
        lines += ["", "evaluation:", f"  top_genes: {max(1, genes)}  # there are no more"]
    if effects is not None:
        lines += ["", *effects_section(effects, singles_hit, variant=folds is not None)]
    return "\n".join(lines) + "\n"


def genes_of(targets: set[str], found: Found, symbols: str | None) -> dict[str, float]:
    """Targets that are measured genes, by name or symbol, with the share of cells with counts."""
    share = dict(zip(map(str, found.genes), found.seen, strict=True))
    if symbols is not None:
        named = found.var[symbols].astype(str)
        share |= {
            name: own for name, own in zip(named, found.seen, strict=True) if name not in share
        }
    return {target: share[target] for target in targets if target in share}


def gene_bound(found: Found, target_genes: dict[str, float], *, effects: bool) -> int:
    """Least number of cells with a gene: the strictest that leaves most targets and many genes."""
    n_cells = len(found.obs)
    bounds = sizes.cells_per_gene(n_cells, effects=effects)
    for bound in bounds:
        passing = int((found.seen * n_cells >= bound).sum())
        lost = sum(share * n_cells < bound for share in target_genes.values())
        if passing >= min(200, len(found.genes) // 2) and lost <= len(target_genes) // 5:
            return bound
    return bounds[-1] if (found.seen * n_cells >= bounds[-1]).sum() >= 2 else 1


def head(screen: str, found: Found, panel: Panel, machine: Machine) -> list[str]:
    """What the file is, as comments."""
    cores = f"{machine.cores} CPU core{'s' if machine.cores > 1 else ''}"
    return [
        f"# First configuration for {visible(screen)}, written by `make config`. Lines marked",
        "# GUESS are to be checked. config/README.md describes every key and what else there is.",
        f"# Found: {len(found.obs):,} cells, {len(found.genes):,} genes, "
        f"{len(panel.singles)} single perturbations and {len(panel.combinations)} combinations of "
        f"{panel.targets} targets.",
        f"# Sizes for {'a GPU' if machine.gpu else cores}; `snakemake estimate_time "
        f"--cores {machine.cores} --configfile THIS_FILE`",
        "# says how long it takes.",
    ]


def analyses(
    panel: Panel, folds: dict[str, Any] | None, effects: dict[str, Any] | None
) -> list[str]:
    """What the run is to make, and why not more."""
    chosen = [*(["benchmark"] if folds else []), *(["effects"] if effects else [])]
    why = []
    if folds is None:
        why = [f"# No benchmark: {len(panel.combinations)} combinations; it needs two, each held "
               "out in its turn."]  # fmt: skip
    if effects is None:
        why = [f"# No effects: they need {sizes.FEWEST_SINGLES} perturbations of one target, and "
               f"there are {len(panel.singles)}."]  # fmt: skip
    return [*why, f"analyses: {flow(chosen)}"]


def screen_section(
    screen: str,
    found: Found,
    labels: Labels,
    others: Sequence[Labels],
    symbols: str | None,
    targets: set[str],
    target_genes: dict[str, float],
) -> list[str]:
    """Section `screen`, alternatives as comments."""
    lines = ["screen:", "  kind: file", f"  path: {scalar(screen)}"]
    if found.counts != "X":
        lines += ["  # X holds no whole numbers.", f"  counts: {scalar(found.counts)}"]
    lines += [f"  perturbation_column: {scalar(labels.column)}  # GUESS; most cells: "
              + visible(", ".join(most_frequent(labels.number, 4)))]  # fmt: skip
    for other in others[:3]:
        lines += [f"  # perturbation_column: {scalar(other.column)}  # another candidate; "
                  + visible(", ".join(most_frequent(other.number, 4)))]  # fmt: skip
    one = labels.controls[0] if len(labels.controls) == 1 else labels.controls
    lines += [f"  control_label: {flow(one)}  # GUESS"]
    if labels.other_controls:
        lines += ["  # These read like a control too, and count as perturbations until they are "
                  f"listed there: {flow(labels.other_controls[:8])}"]  # fmt: skip
    n_combinations = sum(len(own) > 1 for own in map(targets_of, panel_names(labels, found)))
    what = f"{n_combinations} combinations" if labels.separators else "labels are whole"
    lines += [f"  separator: {flow(labels.separators)}  # GUESS; {what}"]
    if labels.ignored:
        lines += ["  # Within combinations these mean no target.",
                  f"  ignore_labels: {flow(labels.ignored)}"]  # fmt: skip
    if labels.dropped:
        number = sum(labels.number[own] for own in labels.dropped)
        lines += [f"  # GUESS: {number:,} cells without a known perturbation.",
                  f"  drop_labels: {flow(labels.dropped)}"]  # fmt: skip
    names = {target for name in panel_names(labels, found) for target in targets_of(name)}
    alike = looks_alike(sorted(names))
    if alike:
        pairs = "; ".join(" and ".join(map(ascii, own)) for own in alike[:4])
        lines += [f"  # Look alike, and count as different targets: {visible(pairs)}"]
    if found.gene_column is not None:
        lines += ["  # The names of var repeat.",
                  f"  gene_name_column: {scalar(found.gene_column)}"]  # fmt: skip
    if symbols is not None:
        lines += [f"  gene_symbols: {scalar(symbols)}  # names targets, which var's names do not"]
    lines += [f"  # {len(target_genes)} of {len(targets)} targets are measured genes."]
    if len(target_genes) < len(targets):
        lines += ["  # target_genes: targets.tsv  # a table of target and gene, for guides, "
                  "enhancers and other names"]  # fmt: skip
    for column in batch_columns(found.obs)[:2]:
        lines += [f"  # batch_column: {scalar(column)}  # matches control cells by batch in "
                  "differential expression"]  # fmt: skip
    for column in found.obs.select_dtypes(bool).columns[:3]:
        number = int(found.obs[column].sum())
        lines += [
            f"  # keep: {flow({str(column): True})}  # {number:,} of {len(found.obs):,} cells"
        ]
    return lines


def panel_names(labels: Labels, found: Found) -> list[str]:
    """Canonical names of all conditions."""
    return sorted(set(names_of(labels, found, "obs").values()))


def quality_control(
    found: Found, labels: Labels, cells: Counter[str], bound: int, passing: int, least: int
) -> list[str]:
    """Section `quality_control`."""
    perturbed = [n for name, n in cells.items() if name != CONTROL]
    lost = sum(n < least for n in perturbed)
    many = found.genes_per_cell > MEDIAN_GENES
    lines = [
        "quality_control:",
        f"  min_cells_per_gene: {bound}  # leaves about {passing:,} of {len(found.genes):,} genes, "
        f"by {found.looked_at:,} cells",
        f"  min_genes_per_cell: {200 if many else 'null'}  # the median cell has counts of "
        f"{found.genes_per_cell:,.0f} genes",
        f"  min_cells_per_perturbation: {least}  # leaves out {lost} of {len(perturbed)} "
        "perturbations",
    ]
    share, gene = found.dominant
    if share > DOMINANT:
        lines += [f"  # {visible(gene)} holds {100 * share:.0f}% of all counts.",
                  "  size_factors: median_ratio"]  # fmt: skip
    if many and sum(str(name).startswith("MT-") for name in found.genes) > 1:
        lines += ["  # max_mitochondrial_percent: 20  # published: 15 to 22, by the screen"]
    return lines


def folds_section(panel: Panel, folds: dict[str, Any]) -> list[str]:
    """Section `folds`."""
    n, complete = len(panel.combinations), len(panel.with_singles)
    lines = ["folds:", f"  count: {folds['count']}  # of {n} combinations; each fold is a fit"]
    if complete < n:
        what = {"train": "they always train", "test": "they are held out like the others"}
        choice = folds["unmeasured_singles"]
        lines += [f"  unmeasured_singles: {choice}  # {n - complete} combinations have a target "
                  f"that was not perturbed alone: {what[choice]}"]  # fmt: skip
    return lines


def gene_lines(panel: Panel, wanted: int | None) -> list[str]:
    """Keys of section `genes`."""
    if wanted is None:
        return [f"  count: null  # all that pass quality control, about {panel.genes:,}"]
    return [f"  count: {wanted}  # of about {panel.genes:,}: targets, then markers, then variable "
            "genes"]  # fmt: skip


def methods(panel: Panel, genes: int, machine: Machine) -> list[str]:
    """Sizes of LCD's two fits."""
    prior, drift = sizes.prior(panel, genes, machine), sizes.drift(panel, genes, machine)
    lines = ["methods:", "  lcd:", "    prior:"]
    lines += [f"      {name}: {value}" for name, value in prior.items()]
    lines += ["    drift:"]
    lines += [
        f"      {name}: {value}"
        + ("  # at least the number of targets" if name == "embedding_dimensions" else "")
        for name, value in drift.items()
    ]
    return lines


def states(benchmark: bool, effects: bool, *, few_counts: bool) -> list[str]:
    """Coordinates of the states: what suits effects need not suit predictions."""
    own = {"scaling": "covariance"}
    if not benchmark:
        return [f"    states: {flow(own)}  # for effects, docs/clipr.md"]
    lines = []
    if few_counts:
        lines += ["    # The median gene has counts in few cells.",
                  "    states: {transform: log_rate}"]  # fmt: skip
        own = {"transform": "identity", **own}
    if effects:
        lines += ["    variants:", f"      effects: {flow({'states': own})}  # docs/clipr.md"]
    return lines


def effects_section(effects: dict[str, Any], causes: int, *, variant: bool) -> list[str]:
    """Sections `effects` and what belongs to it."""
    return [
        "effects:",
        *(["  variant: effects"] if variant else []),
        f"  seeds: {effects['seeds']}  # a fit each",
        f"  held_out_folds: {effects['held_out_folds']}  # a fit each; {causes} perturbed genes "
        "are modelled",
        "",
        "# enrichment:",
        "#   gene_sets: [downloads/msigdb/2024.1.Hs/c2.cp.gmt]  # fetched from MSigDB; or your own",
    ]


def scalar(value: object) -> str:
    """A value as YAML on one line."""
    return flow([value])[1:-1]


def flow(values: object) -> str:
    """A list, or one text, as YAML on one line."""
    if isinstance(values, str):
        return scalar(values)
    dumped: str = yaml.safe_dump(
        values, default_flow_style=True, width=2**30, allow_unicode=True, sort_keys=False
    )
    return dumped.strip()


def visible(text: str) -> str:
    """Text for a comment: on one line, and not too long."""
    shown_text = text if text.isprintable() else ascii(text)
    return shown_text if len(shown_text) <= 160 else f"{shown_text[:160]} ..."


# --- what is said ---------------------------------------------------------------------------------


def report(path: Path, found: Found, labels: Labels, values: dict[str, Any]) -> None:
    """Print what was found and guessed, and where it was written."""
    cells = cells_of(labels, found, "obs")
    combinations = sum(len(targets_of(name)) > 1 for name in cells)
    rows = {
        "cells": f"{len(found.obs):,}",
        "genes": f"{len(found.genes):,}, counts in {found.counts}",
        "perturbations": f"{len(cells) - 1} in obs[{labels.column!r}], {combinations} of them "
        "combinations",
        "control": f"{shown(map(repr, labels.controls), 4)}, {cells[CONTROL]:,} cells",
        "separator": shown(map(repr, labels.separators)) or "none, labels are whole",
    }
    if labels.other_controls:
        rows["look like controls too"] = shown(map(repr, labels.other_controls), 6)
    if labels.dropped:
        rows["left out"] = shown(map(repr, labels.dropped), 6)
    rows["analyses"] = ", ".join(values["analyses"])
    width = max(map(len, rows))
    print("\n".join(f"{name:<{width}}  {text}" for name, text in rows.items()))
    print(f"\nwritten to {path}: check the lines marked GUESS, then\n")
    print(f"  make run CONFIG={path}")
    print(f"  make report CONFIG={path}\n", flush=True)


def estimate_time(path: Path, machine: Machine) -> None:
    """Let the workflow say how long the run will take."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(machine.cores), "--quiet", "all"]
    subprocess.run([*command, "--configfile", str(path), "--", "estimate_time"], check=False)


def arguments() -> dict[str, Any]:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="init_config", description=__doc__.splitlines()[0])
    parser.add_argument("screen", help="h5ad, h5mu or 10x h5")
    parser.add_argument("--output", help="configuration to write; config/<name of the screen>.yaml")
    parser.add_argument("--column", help="column of obs with the perturbations")
    parser.add_argument("--control", nargs="+", default=[], help="label(s) of control cells")
    parser.add_argument("--separator", nargs="+", help="what joins targets; none: whole labels")
    parser.add_argument("--cores", type=int, help="CPU cores of the run")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--no-estimate", dest="estimate", action="store_false")
    given = vars(parser.parse_args())
    return given | ({"separator": []} if given["separator"] == ["none"] else {})


if __name__ == "__main__":
    try:
        main(**arguments())
    except InputError as error:
        sys.exit(str(error))
