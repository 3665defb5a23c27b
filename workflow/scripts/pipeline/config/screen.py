"""Section `screen`."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.config.schema import PIPELINE, Names, Section, contradiction, distinct, key

ONE_VALUE = {"type": ["string", "boolean", "number"]}
KEPT_COLUMNS = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [ONE_VALUE, {"type": "array", "items": ONE_VALUE, "minItems": 1}]
    },
}


def _kept(columns: Any) -> Any:
    """Bring ``{column: value or list of values}`` to sorted columns with tuples of values."""
    if not isinstance(columns, dict):
        return columns
    kept = {}
    for column in sorted(columns, key=str):
        values = columns[column]
        values = tuple(values) if isinstance(values, list | tuple) else (values,)
        if not values or not all(isinstance(value, str | bool | int | float) for value in values):
            what = "each column needs a value or a list of values (text, numbers, true or false)"
            found = f"{column}: {columns[column]!r}"
            raise PydanticCustomError("kept", "{what}", {"what": what, "found": found})
        kept[column] = values
    return kept


def _listed(label: Any) -> Any:
    """Bring one label to a list of one."""
    if isinstance(label, bool | int | float):
        what = "text is expected, or a list of texts"
        raise PydanticCustomError(
            "labels", "{what}", {"what": what, "remedy": "quote a number or word to make it text"}
        )
    return (label,) if isinstance(label, str) else label


ONE_LABEL = {"type": "string", "minLength": 1}
Labels = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(strict=False, min_length=1),
    BeforeValidator(distinct),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [ONE_LABEL, {"type": "array", "items": ONE_LABEL, "minItems": 1}]}),
]


class Screen(Section):
    """Where the counts come from and how the file names its perturbations."""

    kind: Literal["simulated", "file", "download"] = key(
        "simulated",
        "`simulated`: a gene-regulatory simulation (section `simulation`); `file`: a file at "
        "`path`; `download`: an h5ad file fetched from `url` into `downloads/`.",
        source=PIPELINE,
    )
    path: str | None = key(
        None,
        "The file, relative to the working directory: h5ad, h5mu (one modality) or 10x h5; with "
        "kind `file` only.",
        source=PIPELINE,
        min_length=1,
    )
    url: str | None = key(
        None,
        "Address of the h5ad file; with kind `download` only. Its last part names the file.",
        source=PIPELINE,
        pattern=r"^(https?|ftp)://[^?#]+/[^/?#]+\.h5ad([?#].*)?$",
    )
    size: int | None = key(
        None, "Size of the download; null leaves it unchecked.", source=PIPELINE, unit="bytes", ge=1
    )
    md5: str | None = key(
        None,
        "MD5 checksum of the download, in quotes; null leaves it unchecked.",
        source=PIPELINE,
        pattern=r"^[0-9a-f]{32}$",
    )
    sha256: str | None = key(
        None,
        "SHA-256 checksum of the download, in quotes; null leaves it unchecked.",
        source=PIPELINE,
        pattern=r"^[0-9a-f]{64}$",
    )
    modality: str | None = key(
        None,
        "Modality of an h5mu file that holds the counts; null: `rna`, or the only one.",
        source="MuData convention",
        min_length=1,
    )
    cells_table: str | None = key(
        None,
        "Tab- or comma-separated table with further columns of `obs`, such as guides of a 10x "
        "file; its first column names the cells. Cells that it lacks have missing values.",
        source=PIPELINE,
        min_length=1,
    )
    counts: str = key(
        "X",
        "Where the raw integer counts are: `X`, `raw` (AnnData's `.raw`, with its genes), or the "
        "name of a layer.",
        source="AnnData convention",
        min_length=1,
    )
    perturbation_column: str = key(
        "perturbation",
        "Column of `obs` that names the perturbation of each cell.",
        source="scPerturb convention",
        min_length=1,
    )
    control_label: Labels = key(
        "control",
        "Label of unperturbed cells in that column, or a list of several.",
        source="scPerturb convention",
    )
    separator: Names = key(
        ("+",),
        "What joins the targets of a combination; several are tried together. `[]`: labels are "
        "whole and never split, as for drugs (`2i (LIF+X)`); a `+` in them is then written `&`.",
        source=PIPELINE,
    )
    ignore_labels: Names = key(
        (),
        "Target labels that mean no target, such as `NT` in `NT_MYC`, which is then the single "
        "`MYC`; a label of nothing else (`NT_NT`) is the control.",
        source=PIPELINE,
    )
    drop_labels: Names = key(
        (),
        "Labels of that column whose cells are left out, such as `unassigned`; `nan` stands for "
        "missing values too.",
        source=PIPELINE,
    )
    batch_column: str | None = key(
        None,
        "Column of `obs` with the batch of each cell (lane, replicate, day): differential "
        "expression and the size factors `median_ratio` then compare perturbed cells with control "
        "cells of their own batch. null: with all control cells.",
        source=PIPELINE,
        min_length=1,
    )
    gene_name_column: str | None = key(
        None,
        "Column of `var` with the gene names; null takes the names of `var` itself.",
        source="AnnData convention",
        min_length=1,
    )
    gene_symbols: str | None = key(
        None,
        "Column of `var` with other names of the genes, such as symbols beside Ensembl ids, by "
        "which targets are found among them; null looks among their names alone.",
        source=PIPELINE,
        min_length=1,
    )
    target_genes: str | None = key(
        None,
        "Tab-separated table with the columns `target` and `gene` for targets that are no genes "
        "themselves, such as guides and enhancers; a row for each gene, by name or symbol.",
        source=PIPELINE,
        min_length=1,
    )
    keep: Annotated[
        dict[str, Annotated[tuple[str | bool | int | float, ...], Field(strict=False)]],
        BeforeValidator(_kept),
        WithJsonSchema(KEPT_COLUMNS),
    ] = key(
        {},
        "Columns of `obs` with the value, or list of values, that a cell must have to be kept, "
        "e.g. `{confident: true}`; `{}` keeps all.",
        source=PIPELINE,
    )

    @property
    def download_name(self) -> str:
        """File name of the download: the last part of ``url`` without its query."""
        return re.split("[?#]", self.url or "")[0].rsplit("/", 1)[-1]

    @model_validator(mode="after")
    def _source_matches_kind(self) -> "Screen":
        wanted = {"simulated": None, "file": "path", "download": "url"}[self.kind]
        if wanted is not None and getattr(self, wanted) is None:
            raise contradiction(
                f"screen.{wanted}",
                f"screen.kind is {self.kind}, but screen.{wanted} is not given",
                "null",
                f"give screen.{wanted}, or another screen.kind",
            )
        owners = {
            "path": "file",
            "url": "download",
            "size": "download",
            "md5": "download",
            "sha256": "download",
        }
        for field, kind in owners.items():
            value = getattr(self, field)
            if value is not None and kind != self.kind:
                raise contradiction(
                    f"screen.{field}",
                    f"screen.{field} has a meaning only where screen.kind is {kind}",
                    f"{value} with kind {self.kind}",
                    f"remove screen.{field} (or set it to null), or set screen.kind: {kind}",
                )
        return self

    @model_validator(mode="after")
    def _labels_can_be_told_apart(self) -> "Screen":
        if any(not separator for separator in self.separator):
            raise contradiction(
                "screen.separator",
                "no separator may be empty",
                str(list(self.separator)),
                'give a list of texts, e.g. ["+"], or [] if labels are never to be split',
            )
        shared = set(self.control_label) & set(self.ignore_labels)
        if shared:
            raise contradiction(
                "screen.ignore_labels",
                "the control label is among the labels to ignore",
                ", ".join(sorted(shared)),
                "name control cells by screen.control_label alone",
            )
        dropped = set(self.drop_labels) & {*self.control_label, *self.ignore_labels}
        if dropped:
            raise contradiction(
                "screen.drop_labels",
                "labels to drop are named by screen.control_label or screen.ignore_labels too",
                ", ".join(sorted(dropped)),
                "name each label in one of the three",
            )
        return self
