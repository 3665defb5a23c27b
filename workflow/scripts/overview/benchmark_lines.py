"""What there is to say of fits and predictions: headline results, and what to doubt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.calibration import LEAST_SCORE, not_to_be_trusted
from evaluation.registry import METRICS
from overview.lines import DOUBT, RESULT, Line, count, joined, number, p_text, share
from pipeline.looks import Looks
from pipeline.tables import read_tsv

FITS, BENCHMARK, INTERACTIONS = "Fits", "Benchmark", "Interactions"
CONDITIONS = "fits/conditions.html"
SUMMARY, WIN_RATES = "benchmark/summary.html", "benchmark/win_rates.html"
DISTANCES, PAIRS = "figures/distances.svg", "figures/pairs.svg"
FEW_OF_A_TYPE = 5
"""Pairs of a type of interaction below which no test can reach 0.05."""

FEW_PAIRS = 10
"""Held-out perturbations below which paired tests can hardly tell methods apart."""

SIGNIFICANT = 0.05


def fit_lines(path: str) -> Iterator[Line]:
    """Say how many training conditions are reproduced, and which are not."""
    rows = read_tsv(path, dtype={"fold": str, "variant": str, "perturbation": str})
    n, counts = len(rows), rows["verdict"].value_counts()
    if n == 0:
        return
    fits = rows.groupby(["fold", "variant"]).ngroups
    left = rows[["prior_share", "lcd_share"]].median()
    text = (
        f"Reproduced: {share(int(counts.get('reproduced', 0)), n)} training conditions of "
        f"{count(fits, 'checked fit')}"
    )
    if np.isfinite(left).all():
        text += (
            f"; of the distance that control cells have, the prior leaves "
            f"{100 * left['prior_share']:.0f}% and the diffusion {100 * left['lcd_share']:.0f}% "
            "(medians)"
        )
    yield Line(RESULT, FITS, f"{text}.", file=CONDITIONS)
    advice = {
        "prior misses it": "raise methods.lcd.prior.steps before believing any prediction",
        "drift misses it": "raise methods.lcd.drift.steps, or look at its settings",
    }
    for verdict, remedy in advice.items():
        missed = rows[rows["verdict"] == verdict]
        if len(missed):
            who = "prior" if verdict.startswith("prior") else "diffusion"
            yield Line(
                DOUBT,
                FITS,
                f"Badly fit by the {who}: {share(len(missed), n)} training conditions, with more "
                "than half of the control's distance left.",
                joined(missed["perturbation"].drop_duplicates()),
                f"what rests on them is not to be trusted; {remedy}",
                CONDITIONS,
            )
    close = rows[rows["verdict"] == "close to control"]
    if len(close):
        yield Line(
            DOUBT,
            FITS,
            f"{share(len(close), n)} training conditions cannot be told from control cells in "
            "their fold, so nothing says there how well they are fit.",
            joined(close["perturbation"].drop_duplicates()),
            "these say nothing for or against a model",
            CONDITIONS,
        )


def benchmark_lines(
    files: Mapping[str, Any], looks: Looks, reference: str, versus: str
) -> Iterator[Line]:
    """Say how the predictions compare, and what cannot be told.

    Parameters
    ----------
    files
        Paths of ``summary``, ``win_rates`` and ``calibration``.
    looks
        Looks of the methods.
    reference, versus
        Fit that is compared with all others, and the one it is compared with by name.
    """
    names = {"method": str, "metric": str, "versus": str, "reason": str}
    summary, rates = (read_tsv(files[name], dtype=names) for name in ("summary", "win_rates"))
    doubtful = not_to_be_trusted(read_tsv(files["calibration"]))
    told = set(summary["metric"]) - set(doubtful)
    trusted = [name for name in METRICS if name in told and METRICS[name].ranks]
    first = (trusted or [name for name in METRICS if name in set(summary["metric"])])[0]
    yield from headline(summary, rates, looks, reference, versus, first)
    yield from best_by_metric(summary, looks, reference, trusted)
    if doubtful:
        yield Line(
            DOUBT,
            BENCHMARK,
            f"{share(len(doubtful), summary['metric'].nunique())} metrics cannot tell on these "
            f"data: a duplicate of the observed cells beats a negative control in less than "
            f"{LEAST_SCORE:.0%} of perturbations.",
            joined(METRICS[name].title for name in doubtful),
            "do not rank methods by these; they are grey in the tables",
            SUMMARY,
        )
    yield from not_better(rates[rates["metric"].isin(trusted)], looks, reference)
    yield from undefined(summary, looks, first)


def headline(
    summary: pd.DataFrame,
    rates: pd.DataFrame,
    looks: Looks,
    reference: str,
    versus: str,
    metric: str,
) -> Iterator[Line]:
    """Medians of the reference, the floor, the ceiling and the one it is compared with."""
    own = summary[summary["metric"] == metric].set_index("method")["median"]
    label, title = looks.flat_label(reference), METRICS[metric].title
    others = [name for name in ("control", "ceiling", versus) if name in own and name != reference]
    if reference in own.index:
        said = ", ".join(
            f"{looks.flat_label(name)} {number(own[name])}" for name in dict.fromkeys(others)
        )
        yield Line(
            RESULT,
            BENCHMARK,
            f"{title}, median over held-out perturbations, {METRICS[metric].direction} is better: "
            f"{label} {number(own[reference])}{'; ' + said if said else ''}.",
            file=DISTANCES,
        )
    row = rates[(rates["metric"] == metric) & (rates["versus"] == versus)]
    if len(row) == 1 and versus != reference:
        only = row.iloc[0]
        tested = (
            f"adjusted {p_text(only['p_adjusted'])}, one-sided Wilcoxon signed-rank"
            if np.isfinite(only["p_adjusted"])
            else f"no test: {only['reason']}"
        )
        yield Line(
            RESULT,
            BENCHMARK,
            f"{label} is better than {looks.flat_label(versus)} at "
            f"{share(int(only['wins']), int(only['n']))} held-out perturbations by {title} "
            f"({tested}).",
            file=PAIRS,
        )
        if not only["p_adjusted"] < SIGNIFICANT:
            yield Line(
                DOUBT,
                BENCHMARK,
                f"That {label} is better than {looks.flat_label(versus)} by {title} is not beyond "
                "chance.",
                advice="other metrics and methods are in the table of paired tests",
                file=WIN_RATES,
            )
        if int(only["n"]) < FEW_PAIRS:
            yield Line(
                DOUBT,
                BENCHMARK,
                f"Methods are compared on {count(int(only['n']), 'held-out perturbation')} alone: "
                "only large differences can be told from chance.",
                advice="measure more combinations, or read single perturbations",
                file=WIN_RATES,
            )


def best_by_metric(
    summary: pd.DataFrame, looks: Looks, reference: str, trusted: Sequence[str]
) -> Iterator[Line]:
    """Which methods have the best median, in how many metrics."""
    best = []
    for metric in trusted:
        own = summary[(summary["metric"] == metric) & summary["median"].notna()]
        own = own[[looks.kind(name) != "reference" for name in own["method"]]]
        if len(own):
            medians = own.set_index("method")["median"]
            best.append(METRICS[metric].best(medians).astype(str).tolist())
    if best:
        counts = pd.Series([name for tied in best for name in tied]).value_counts()
        tied = any(len(names) > 1 for names in best)
        order = sorted(counts.index, key=lambda name: (-counts[name], name != reference, name))
        said = ", ".join(f"{looks.flat_label(name)} {counts[name]}" for name in order)
        yield Line(
            RESULT,
            BENCHMARK,
            f"Best median in {count(len(best), 'metric')} that can tell"
            f"{', equal ones counted for each' if tied else ''}: {said}.",
            file=SUMMARY,
        )


def not_better(rates: pd.DataFrame, looks: Looks, reference: str) -> Iterator[Line]:
    """Methods whose median is better than that of the reference, in at least half of the metrics.

    Baselines come first, for these a model has to beat.
    """
    label = looks.flat_label(reference)
    rates = rates[rates["difference_of_medians"].notna()]
    lower = rates["metric"].map(lambda name: METRICS[name].direction == "lower")
    worse = rates.assign(
        worse=np.where(lower, rates["difference_of_medians"], -rates["difference_of_medians"]) > 0
    )
    for other in looks.in_order(worse["versus"].unique()):
        if looks.kind(other) == "reference":
            continue
        own = worse[worse["versus"] == other]
        lost = own[own["worse"]]
        baseline = looks.kind(other) == "baseline"
        if len(lost) and (baseline or 2 * len(lost) >= len(own)):
            what = "a baseline" if baseline else "a simpler or another method"
            yield Line(
                DOUBT,
                BENCHMARK,
                f"{label} has a worse median than {looks.flat_label(other)}, {what}, in "
                f"{share(len(lost), len(own))} metrics that can tell.",
                joined(METRICS[name].title for name in lost["metric"]),
                f"prefer {looks.flat_label(other)} where these metrics are what matters",
                WIN_RATES,
            )


def undefined(summary: pd.DataFrame, looks: Looks, metric: str) -> Iterator[Line]:
    """Methods without a value at some perturbations."""
    own = summary[summary["metric"] == metric].set_index("method")["n"]
    fewer = own[own < own.max()]
    if len(fewer):
        yield Line(
            DOUBT,
            BENCHMARK,
            f"Medians of some methods are over fewer perturbations than those of others "
            f"({int(own.max())}).",
            joined(f"{looks.flat_label(name)} ({n})" for name, n in fewer.items()),
            "compare them by the paired tests, which are on the perturbations both have",
            WIN_RATES,
        )


def interaction_lines(by_type: str, looks: Looks, reference: str, versus: str) -> Iterator[Line]:
    """Say which interactions the held-out pairs have, and who predicts their cells better."""
    rows = read_tsv(by_type, dtype={"type": str, "metric": str, "reason": str})
    pairs = rows[rows["type"] == "all"]
    if pairs.empty or int(pairs["n"].iloc[0]) == 0:
        yield Line(
            DOUBT,
            INTERACTIONS,
            "No held-out pair has both targets measured alone: there are no interactions to see.",
            file="interactions/interactions.html",
        )
        return
    kinds = rows[(rows["type"] != "all") & (rows["n"] > 0)]
    said = ", ".join(f"{row.type} {int(row.n)}" for row in kinds.itertuples())
    yield Line(
        RESULT,
        INTERACTIONS,
        f"{count(int(pairs['n'].iloc[0]), 'held-out pair')} with both targets measured alone; by "
        f"observed type, of which a pair may have several: {said or 'none'}.",
        file="interactions/interactions.html",
    )
    few = kinds[kinds["n"] < FEW_OF_A_TYPE]
    if len(few):
        yield Line(
            DOUBT,
            INTERACTIONS,
            f"Some types of interaction have fewer than {FEW_OF_A_TYPE} held-out pairs, which no "
            "test can tell from chance.",
            joined(f"{row.type} ({int(row.n)})" for row in few.itertuples()),
            "only more measured pairs help, or a larger folds.max_test_doubles where it is set",
            "interactions/interactions.html",
        )
    if versus == reference:
        return
    label, other = looks.flat_label(reference), looks.flat_label(versus)
    better = kinds[kinds["p_adjusted"] < SIGNIFICANT]
    yield Line(
        RESULT,
        INTERACTIONS,
        f"{label} is better than {other} beyond chance (adjusted P < {SIGNIFICANT:g}) for "
        f"{share(len(better), len(kinds))} types"
        f"{': ' + joined(better['type']) if len(better) else ''}.",
        file="figures/interactions_types.svg",
    )
