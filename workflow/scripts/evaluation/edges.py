"""Predicted edges and their validation against observed differential expression.

A predicted edge ``C``: "gene j causes gene i" is validated when gene i is differentially
expressed (DE) under the perturbation of j. Strong edges should be validated more often than the
base rate of all edges that could be tested (Lorch et al. 2026, Fig. 4E and F).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, fisher_exact

from lcd_core.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class Edges(NamedTuple):
    """Edges, strongest first: positions of cause and effect, and the signed effect, each (n,).

    ``cause`` counts columns of the effect matrix, ``effect`` counts its rows.
    """

    cause: Integers
    effect: Integers
    value: Floats


def strongest_edges(
    effects: NDArray[np.floating],
    limit: int | None = None,
    *,
    causes: Sequence[int] | Integers | None = None,
    eligible: Booleans | None = None,
) -> Edges:
    """Rank edges by the magnitude of their effect, self-loops left out.

    Parameters
    ----------
    effects
        Effects, shape (d, m); ``effects[i, c]`` is the effect of the c-th cause on gene i.
    limit
        Number of edges returned; all if None or more than there are.
    causes
        Gene index of each of the m causes, shape (m,); needed unless m = d, where column j is
        gene j.
    eligible
        Edges that take part in the ranking, shape (d, m); all if None.

    Returns
    -------
    Edges by decreasing magnitude; ties in the order of cause, then effect.

    Raises
    ------
    InputError
        If an eligible effect is not finite.
    """
    A = np.asarray(effects, dtype=np.float64)
    d, m = A.shape
    if causes is None and m != d:
        raise ValueError(f"{m} causes of {d} genes: name the causes")
    own = np.arange(m) if causes is None else np.asarray(causes, dtype=np.int64)
    allowed = np.ones((d, m), dtype=bool) if eligible is None else eligible.copy()
    allowed[own, np.arange(m)] = False
    cause, effect = np.nonzero(allowed.T)
    value = A[effect, cause]
    if not np.isfinite(value).all():
        bad = ~np.isfinite(value)
        raise InputError(
            f"{bad.sum()} effects are not finite",
            found=(f"effect of {c} on {i}" for c, i in zip(cause[bad], effect[bad], strict=True)),
        )
    order = np.argsort(-np.abs(value), kind="stable")[:limit]
    return Edges(cause[order], effect[order], value[order])


def assemble_columns(
    effects: Mapping[Hashable, NDArray[np.floating]],
    held_out: Mapping[Hashable, Sequence[int] | Integers],
) -> tuple[Floats, Integers]:
    """Collect the columns of held-out causes, each from the model that never saw it perturbed.

    Parameters
    ----------
    effects
        Effect matrix of each fold's model, shape (d, d), by fold.
    held_out
        Indices of the causes whose perturbations the fold's model was trained without.

    Returns
    -------
    The columns, shape (d, m), and the gene index of each, shape (m,), increasing.

    Raises
    ------
    InputError
        If the folds differ, or a cause is held out in more than one fold.
    """
    if set(effects) != set(held_out) or not effects:
        raise InputError(
            "every fold of held-out causes needs one effect matrix",
            found=f"effects of folds {list(effects)}, held-out causes of folds {list(held_out)}",
        )
    folds = list(effects)
    causes = np.concatenate([np.asarray(held_out[fold], dtype=np.int64) for fold in folds])
    repeated = np.unique(causes)[np.unique(causes, return_counts=True)[1] > 1]
    if len(repeated):
        raise InputError("causes are held out in more than one fold", found=repeated)
    columns = np.concatenate(
        [np.asarray(effects[fold], dtype=np.float64)[:, held_out[fold]] for fold in folds], axis=1
    )
    order = np.argsort(causes)
    return columns[:, order], causes[order]


@dataclass(frozen=True)
class Implication:
    """How often predicted edges (C) are validated by differential expression (DE).

    Attributes
    ----------
    n_edges, n_de
        Edges that could be tested, and how many of them are DE.
    k, n_validated
        Predicted edges, and how many of them are DE.
    base_rate
        P(DE).
    probability, low, high
        P(DE | C) with its Wilson interval.
    lift, lift_low, lift_high
        P(DE | C) / P(DE) with its bootstrap interval; NaN where no edge is DE.
    conviction, conviction_low, conviction_high
        (1 - P(DE)) / (1 - P(DE | C)) with its bootstrap interval (Brin et al. 1997): how much more
        often C would go without DE if the two were independent. Infinite where every predicted
        edge is validated.
    odds_ratio
        Odds of DE among the predicted edges over the odds among the others, of the sample;
        infinite where all predicted or none of the others are DE, NaN where both odds vanish or
        both are infinite.
    p_value
        One-sided Fisher's exact test (hypergeometric tail, edges taken as independent) of
        "predicted edges are DE more often than the others".
    """

    n_edges: int
    n_de: int
    k: int
    n_validated: int
    base_rate: float
    probability: float
    low: float
    high: float
    lift: float
    lift_low: float
    lift_high: float
    conviction: float
    conviction_low: float
    conviction_high: float
    odds_ratio: float
    p_value: float


def top_count(fraction: float, n_edges: int) -> int:
    """Return how many edges the strongest ``fraction`` of ``n_edges`` is: rounded, at least one."""
    if not 0 < fraction <= 1:
        raise InputError("fractions of edges lie above 0 and at most at 1", found=f"{fraction}")
    return max(1, round(fraction * n_edges))


def implication(
    ranked_de: Booleans,
    k: int,
    *,
    generator: np.random.Generator,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Implication:
    """Test the implication "predicted cause, therefore DE" for the ``k`` strongest edges.

    Parameters
    ----------
    ranked_de
        Whether each edge is DE, strongest predicted edge first, shape (n,). The base rate is
        taken over all n, so it holds exactly the edges that could have been validated.
    k
        Number of edges that count as predicted.
    generator
        Source of the bootstrap.
    n_resamples
        Bootstrap resamples.
    level
        Confidence level of the intervals.

    Notes
    -----
    The bootstrap resamples predicted and other edges separately, with replacement, so that k
    stays fixed, and takes percentiles. Resampling n Bernoulli outcomes is one binomial draw, which
    is how it is done: SciPy's ``bootstrap`` would draw all edges for every resample. It treats
    edges as independent, which those of one cause are not.
    """
    n = len(ranked_de)
    if not 1 <= k <= n:
        raise InputError("cannot take this number of strongest edges", found=f"{k} of {n} edges")
    a = int(np.count_nonzero(ranked_de[:k]))
    n_de = int(np.count_nonzero(ranked_de))
    wilson = binomtest(a, k).proportion_ci(confidence_level=level, method="wilson")

    predicted = generator.binomial(k, a / k, n_resamples)
    others = (
        generator.binomial(n - k, (n_de - a) / (n - k), n_resamples)
        if n > k
        else np.zeros(n_resamples, dtype=np.int64)
    )
    lifts, convictions = _lift_conviction(predicted / k, (predicted + others) / n)
    lift, conviction = _lift_conviction(np.array([a / k]), np.array([n_de / n]))
    fisher = fisher_exact([[a, k - a], [n_de - a, n - k - n_de + a]], alternative="greater")
    return Implication(
        n_edges=n,
        n_de=n_de,
        k=k,
        n_validated=a,
        base_rate=n_de / n,
        probability=a / k,
        low=float(wilson.low),
        high=float(wilson.high),
        lift=float(lift[0]),
        lift_low=_quantile(lifts, (1 - level) / 2),
        lift_high=_quantile(lifts, (1 + level) / 2),
        conviction=float(conviction[0]),
        conviction_low=_quantile(convictions, (1 - level) / 2),
        conviction_high=_quantile(convictions, (1 + level) / 2),
        odds_ratio=float(fisher.statistic),
        p_value=float(fisher.pvalue),
    )


@dataclass(frozen=True)
class WithinCauses:
    """Predicted edges against what their causes alone would give.

    A cause with a large row, whose perturbation changes many genes, puts many edges to the top,
    and many of them hold whichever genes they lead to. So DE calls are permuted among the edges
    of each cause, which keeps the number of its predicted edges and of its DE genes.

    Attributes
    ----------
    null_probability
        P(DE | C) expected under the null: predicted edges lead to genes at random.
    null_lift
        P(DE | C) over it; NaN where it is 0.
    null_p_value
        Share of permutations, the observed one counted, with as many validated edges.
    in_degree_probability
        P(DE | C) expected if predicted edges kept their effect genes and had causes at random.
    """

    null_probability: float
    null_lift: float
    null_p_value: float
    in_degree_probability: float


def within_causes(
    ranked_de: Booleans,
    ranked: Edges,
    k: int,
    *,
    generator: np.random.Generator,
    n_permutations: int,
) -> WithinCauses:
    """Test the ``k`` strongest edges against DE calls permuted within each cause.

    The number of validated edges of a cause is then hypergeometric, independent of the others;
    so they are drawn, instead of permuting.

    Parameters
    ----------
    ranked_de
        Whether each edge is DE, strongest predicted edge first, shape (n,).
    ranked
        The edges, likewise.
    k
        Number of edges that count as predicted.
    generator
        Source of the permutations.
    n_permutations
        How many are drawn.
    """
    n_of, de_of = _tally(ranked.cause), _tally(ranked.cause, ranked_de)
    predicted = np.bincount(ranked.cause[:k], minlength=len(n_of))
    own = predicted > 0
    drawn = generator.hypergeometric(
        de_of[own], n_of[own] - de_of[own], predicted[own], (n_permutations, own.sum())
    ).sum(axis=1)
    validated = int(ranked_de[:k].sum())
    expected = float((predicted[own] * de_of[own] / n_of[own]).sum()) / k
    by_gene = _tally(ranked.effect, ranked_de) / np.maximum(_tally(ranked.effect), 1)
    return WithinCauses(
        null_probability=expected,
        null_lift=validated / k / expected if expected > 0 else float("nan"),
        null_p_value=float((1 + np.count_nonzero(drawn >= validated)) / (1 + n_permutations)),
        in_degree_probability=float(by_gene[ranked.effect[:k]].mean()),
    )


def _tally(groups: Integers, which: Booleans | None = None) -> Integers:
    """How many edges each group has, or how many of some."""
    weights = np.ones(len(groups), dtype=bool) if which is None else which
    counts: Integers = np.bincount(groups, weights=weights).astype(np.int64)
    return counts


class SignAgreement(NamedTuple):
    """Of predicted edges that are DE and whose target's own change is known: signs that agree.

    ``n_signed`` edges, the share ``sign_agreement`` of them, and the two-sided binomial P of
    "signs agree by chance"; NaN without any.
    """

    n_signed: int
    sign_agreement: float
    sign_p_value: float


def sign_agreement(agrees: Floats) -> SignAgreement:
    """Summarise agreement (1 yes, 0 no, NaN not known), shape (n,)."""
    known = agrees[~np.isnan(agrees)]
    if not len(known):
        return SignAgreement(0, float("nan"), float("nan"))
    test = binomtest(int(known.sum()), len(known))
    return SignAgreement(len(known), float(known.mean()), float(test.pvalue))


def _lift_conviction(probability: Floats, base_rate: Floats) -> tuple[Floats, Floats]:
    """Lift and conviction; NaN where numerator and denominator both vanish."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return probability / base_rate, (1 - base_rate) / (1 - probability)


def _quantile(values: Floats, level: float) -> float:
    """Order statistic of the defined values: infinities, which convictions have, survive it."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan")
    return float(np.quantile(defined, level, method="inverted_cdf"))
