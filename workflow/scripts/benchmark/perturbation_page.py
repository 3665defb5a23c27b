"""One perturbation as a part of a page: drawings, its scores, and its first genes."""

import html
from collections.abc import Sequence

import pandas as pd

from benchmark.one_perturbation import OBSERVED, Perturbation
from benchmark.perturbation_drawings import boxes, panels
from evaluation.registry import METRICS
from pipeline.figures import EXPRESSION, number_text
from pipeline.html_tables import number
from pipeline.looks import Looks
from pipeline.screen import CONTROL

LISTED = 30
"""Genes in the table."""

STYLE = """
.choice { margin: 18px 0 6px; font-size: 14px; }
.choice select { font-size: 14px; max-width: 30em; padding: 2px 4px; }
.choice button { font-size: 13px; padding: 2px 10px; }
article { margin: 0 0 26px; border-top: 1.5px solid #222; padding-top: 8px; }
article h2 { font-size: 16px; }
article .facts { margin: 4px 0 10px; }
article h3 { font-size: 13px; margin: 10px 0 4px; }
article.hidden { display: none; }
.drawings, .tables { display: flex; flex-wrap: wrap; gap: 18px 40px; align-items: flex-start; }
figure { margin: 0; }
figcaption { font-size: 12px; color: #555; max-width: 44em; }
figure svg { max-width: 100%; height: auto; font: 10.5px "Helvetica Neue", Arial, sans-serif; }
figure svg text { fill: #222; }
table.plain th, table.plain td { padding: 2px 9px; text-align: right; white-space: nowrap; }
table.plain th { border-bottom: 1.5px solid #222; white-space: normal; vertical-align: bottom; }
table.plain td { border-bottom: 1px solid #e4e4e4; font-variant-numeric: tabular-nums; }
table.plain th:first-child, table.plain td:first-child { text-align: left; }
@media print { .choice { display: none; } .tables { display: block; } }
"""


def part_of(own: Perturbation, looks: Looks, scores: pd.DataFrame, alpha: float) -> str:
    """Write the part of a page about one perturbation.

    Parameters
    ----------
    own
        The perturbation.
    looks
        Labels and colours.
    scores
        Its metrics: ``method``, ``metric``, ``value``; empty where it was not held out.
    alpha
        False discovery rate of differential expression.
    """
    n_changed = int((own.tests["p_adjusted"] < alpha).sum())
    facts = [
        f"{own.n_cells:,} observed cells, {len(own.cells[CONTROL]):,} control cells",
        f"{n_changed:,} of {len(own.tests):,} modelled genes differentially expressed "
        f"(Mann-Whitney U, adjusted P below {alpha:g})",
    ]
    facts += [f"own genes: {own.own}"] if own.own else []
    parts = [f'<p class="facts">{html.escape("; ".join(facts))}.</p>']
    parts.append(
        '<div class="drawings">'
        f"<figure>{boxes(own, looks)}<figcaption>Expression, gene by gene [{EXPRESSION}]: "
        "perturbed genes in bold, then those most differentially expressed. Boxes are quartiles, "
        "strokes the median, dots the mean, lines the 5% and 95% quantiles over cells."
        "</figcaption></figure>"
        f"<figure>{panels(own, looks, alpha)}<figcaption>Change of mean expression from control, "
        "predicted against observed, all modelled genes; differentially expressed ones filled. "
        "The line is equality.</figcaption></figure></div>"
    )
    tables = []
    if len(scores):
        tables.append(score_table(own, looks, scores))
    tables.append(gene_table(own, looks, alpha))
    parts.append(f'<div class="tables">{"".join(tables)}</div>')
    return "\n".join(parts)


def plain_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A short table, its first column text and the others numbers."""
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div><h3>{html.escape(title)}</h3><table class="plain"><thead><tr>{top}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def score_table(own: Perturbation, looks: Looks, scores: pd.DataFrame) -> str:
    """Metrics in rows, methods in columns; the best method of all that ran in the last one."""
    wide = scores.pivot(index="metric", columns="method", values="value")
    wide = wide.reindex([name for name in METRICS if name in wide.index])
    asked = [*own.methods, *(name for name in ("control", "ceiling") if name in wide)]
    columns = list(dict.fromkeys(name for name in looks.in_order(asked) if name in wide))
    rows = []
    for metric, values in wide.iterrows():
        ranked = values[[name for name in wide if looks.kind(name) != "reference"]].dropna()
        best = "–"
        if len(ranked) and METRICS[str(metric)].ranks:
            equal = METRICS[str(metric)].best(ranked)
            best = html.escape(", ".join(looks.flat_label(name) for name in equal))
        arrow = "↓" if METRICS[str(metric)].direction == "lower" else "↑"
        title = f"{html.escape(METRICS[str(metric)].title)} {arrow}"
        rows.append([title, *(number(values[name]) for name in columns), best])
    heads = ["Metric", *map(looks.flat_label, columns), "Best of all methods"]
    return plain_table("Scores (↓ lower, ↑ higher is better)", heads, rows)


def gene_table(own: Perturbation, looks: Looks, alpha: float) -> str:
    """Genes by rank: observed and predicted changes of their mean, and the test."""
    changes = own.changes()
    ranked = own.tests.sort_values("rank").head(LISTED)
    rows = []
    for gene, test in ranked.iterrows():
        values = [changes.at[gene, name] for name in (OBSERVED, *own.methods)]
        rows.append(
            [
                f"<i>{html.escape(str(gene))}</i>",
                *(number_text(value, "+.3f") for value in values),
                number(test["p_adjusted"]),
                "yes" if test["p_adjusted"] < alpha else "no",
            ]
        )
    heads = ["Gene", "Observed", *map(looks.flat_label, own.methods), "Adjusted P", "DE"]
    return plain_table(
        f"Change of mean expression, first {len(rows)} genes by differential expression",
        heads,
        rows,
    )
