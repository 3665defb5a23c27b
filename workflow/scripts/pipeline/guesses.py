"""What the labels of a screen nobody has described yet probably mean.

Guesses for a first configuration, to be looked at by its owner: the column with the perturbations,
its control, and what joins the targets of a combination. What labels stand for once that is said
is in :mod:`pipeline.labels`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pipeline.labels import (
    CONTROL_WORDS,
    MISSING,
    MISSING_LABELS,
    UNASSIGNED_WORDS,
    folded,
    targets_in,
)
from pipeline.screen import CONTROL

COLUMNS = {
    "perturbation": 3.0,
    "condition": 2.5,
    "perturbations": 2.5,
    "genetargeted": 2.5,
    "targetgene": 2.5,
    "genetarget": 2.5,
    "target": 2.0,
    "targets": 2.0,
    "gene": 2.0,
    "treatment": 2.0,
    "drug": 1.5,
    "compound": 1.5,
    "guideidentity": 1.5,
    "guide": 1.0,
    "guideid": 1.0,
    "guideids": 1.0,
    "grna": 1.0,
    "sgrna": 1.0,
    "label": 0.5,
}
"""Names of columns that often hold perturbations, by their letters; columns of guides tell guides
of one gene apart, and so come after those of genes."""
SEPARATORS = ("+", "_", ",", ";", "|", "&", "/", "__", "++", ":", " + ", ", ", " and ", "-", " ")
"""What may join the targets of a combination, the likelier first."""
MOST_LABELS = 50_000
BATCHES = {"batch", "lane", "replicate", "rep", "biorep", "gemgroup", "donor", "library", "channel"}


@dataclass(frozen=True)
class Labels:
    """What the labels of a column probably mean.

    Attributes
    ----------
    column
        Column of ``obs``.
    number
        Cells of every label; ``nan`` where it is missing.
    controls
        Labels that read like the control, of one wording; most cells first.
    other_controls
        Labels that read like a control in other words.
    separators
        What joins targets; none where labels are whole.
    ignored
        Parts of combinations that read like the control and are no control label themselves.
    dropped
        Labels that read like cells of unknown perturbation.
    known_share
        Share of the targets that are names of genes in the file.
    score
        How well the column fits; larger is likelier.
    """

    column: str
    number: Counter[str]
    controls: list[str] = field(default_factory=list)
    other_controls: list[str] = field(default_factory=list)
    separators: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    known_share: float = 0.0
    score: float = 0.0


def letters(name: object) -> str:
    """A name by its letters alone, without case."""
    return re.sub(r"[\W\d_]", "", folded(str(name)))


def labels_of_column(values: pd.Series) -> Counter[str]:
    """Cells of every label of a column as text; ``nan`` where it is missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        counts = values.value_counts(dropna=False)
        counts = counts[counts > 0]
    else:
        counts = values.astype(object).where(values.notna(), MISSING).astype(str).value_counts()
    return Counter(
        {MISSING if pd.isna(label) else str(label): int(n) for label, n in counts.items()}
    )


def candidates(
    obs: pd.DataFrame, known: Collection[str], *, column: str | None = None
) -> list[Labels]:
    """Columns that may hold the perturbations, the likeliest first.

    Parameters
    ----------
    obs
        Table of the cells.
    known
        Names of genes in the file, under all names that it has for them.
    column
        The column, where it is known; it is then the only one.
    """
    genes = set(known)
    found = []
    for name in obs.columns if column is None else [column]:
        values = obs[name]
        if column is None and not holds_labels(values):
            continue
        number = labels_of_column(values)
        if column is None and not 2 <= len(number) <= min(MOST_LABELS, max(2, len(obs) // 2)):
            continue
        labels = meaning(str(name), number, genes)
        named = COLUMNS.get(letters(name), 0.0)
        score = named + 2.0 * bool(labels.controls) + 3.0 * labels.known_share
        if column is not None or (named and labels.controls) or score >= 2.0:
            found.append(Labels(**{**vars(labels), "score": score}))
    return sorted(found, key=lambda own: (-own.score, list(obs.columns).index(own.column)))


def holds_labels(values: pd.Series) -> bool:
    """Whether a column holds texts; numbers and truth values name no perturbations."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.cat.categories)
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "mixed", "categorical")


def meaning(column: str, number: Counter[str], genes: set[str]) -> Labels:
    """What the labels of a column probably mean, see :class:`Labels`."""
    dropped = [
        label
        for label in number
        if label not in genes and (label in MISSING_LABELS or letters(label) in UNASSIGNED_WORDS)
    ]
    labels = [label for label in number if label not in dropped]
    separators = guess_separators(labels, genes)

    def parts(label: str) -> list[str]:
        return targets_in(label, separators) if separators else [label]

    groups: dict[str, list[str]] = {}
    for label in sorted(labels, key=lambda own: (-number[own], own)):
        own = parts(label)
        words = {control_word(part) for part in own}
        joined = len(own) > 1 and all(part in genes or control_word(part) for part in own)
        if control_word(label) and not joined:  # NT_1, but not the NT_A of a gene A
            words = {control_word(label)}
        if all(words) and label not in genes:
            groups.setdefault(min(words), []).append(label)
    by_cells = sorted(groups.values(), key=lambda own: -sum(number[label] for label in own))
    controls = by_cells[0] if by_cells else []
    others = [label for own in by_cells[1:] for label in own]
    if CONTROL in others:  # which no target may be called
        controls, others = [*controls, CONTROL], [own for own in others if own != CONTROL]
    rest = [label for label in labels if label not in controls]
    ignored = {
        part
        for label in rest
        if len(parts(label)) > 1
        for part in parts(label)
        if control_word(part) and part not in genes and part not in controls
    }
    targets = {part for label in rest for part in parts(label)} - ignored - set(controls)
    share = len(targets & genes) / len(targets) if targets else 0.0
    return Labels(
        column, number, controls, others, separators, sorted(ignored), sorted(dropped), share
    )


def control_word(name: str) -> str:
    """The word for a control that a name consists of; else an empty text.

    Numbers, single letters and words for guides after it only tell controls apart.
    """
    pieces = [folded(piece) for piece in re.findall(r"[^\W\d_]+", name)]
    while len(pieces) > 1 and (len(pieces[-1]) == 1 or pieces[-1] in ("guide", "sgrna", "grna")):
        pieces.pop()
    word = "".join(pieces)
    return word if word in CONTROL_WORDS else ""


def guess_separators(labels: Sequence[str], genes: set[str]) -> list[str]:
    """What joins the targets of combinations: the text at which most labels fall into known parts.

    Known is what is a label by itself, a gene, or reads like a control. At ``+``, which joins
    targets by convention, one known part is enough; where labels contain ``+`` and nothing of
    that is known, labels are taken as whole.
    """
    alone = set(labels)
    best, most = None, 0
    for separator in SEPARATORS:
        enough = any if separator == "+" else all
        joined = [
            label
            for label in labels
            if separator in label and label not in genes and not control_word(label)
        ]
        split = [targets_in(label, [separator]) for label in joined]
        good = sum(
            len(set(own)) == len(own)
            and enough(part in alone or part in genes or bool(control_word(part)) for part in own)
            for own in split
        )
        if good > most and 2 * good >= len(joined):
            best, most = separator, good
    if best is not None:
        return [best]
    return [] if any("+" in label for label in labels) else ["+"]


def batch_columns(obs: pd.DataFrame) -> list[str]:
    """Columns that may name batches of cells."""
    return [
        str(name)
        for name in obs.columns
        if letters(name) in BATCHES and 2 <= obs[name].nunique() <= max(2, len(obs) // 20)
    ]


def symbol_column(var: pd.DataFrame, names: Iterable[str], targets: Collection[str]) -> str | None:
    """Column of ``var`` that names more of the targets than the names of the genes do."""
    own = len(set(names) & set(targets))
    matches = {
        str(column): len(set(var[column].dropna().astype(str)) & set(targets))
        for column in var.columns
        if holds_labels(var[column])
    }
    best = max(matches, key=lambda column: matches[column], default=None)
    return best if best is not None and matches[best] > max(own, len(targets) // 20) else None


def looks_alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in case, white space or invisible characters alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return [own for own in groups.values() if len(own) > 1]


def most_frequent(number: Mapping[str, int], most: int = 8) -> list[str]:
    """The labels with most cells, for the eye of a reader."""
    order = sorted(number, key=lambda label: (-number[label], label))
    return [f"{label!r} ({number[label]:,} cells)" for label in order[:most]]
