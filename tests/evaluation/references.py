"""Definitions of metrics written out, slow and in float64, and cells to try them on."""

import itertools

import numpy as np


def cells(seed, n, d, shift=0.0):
    """Sparse-looking log-normalised cells with repeated rows."""
    rng = np.random.default_rng(seed)
    return np.log1p(rng.poisson(0.8 + shift, (n, d)) * rng.uniform(1, 8, (n, 1)))


def kernel(x, y):
    d = len(x)
    squared = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True))
    gammas = [10 ** (-2 + 3 * i / 9) for i in range(10)]
    return sum(np.exp(-squared / (2 * d * g**2)) for g in gammas) / 10


def mmd_loops(x, y):
    """Eq. 20 written out."""
    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


def auroc_pairs(truth, values):
    pairs = list(itertools.product(values[truth], values[~truth]))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def average_precision_thresholds(truth, values):
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        called = values >= threshold
        recall = (called & truth).sum() / truth.sum()
        total += (recall - recall_before) * (called & truth).sum() / called.sum()
        recall_before = recall
    return total


def macro_f1_counts(true, predicted, labels):
    """Harmonic mean of precision and recall, 0 where there is neither."""
    values = []
    for label in labels:
        hits = sum(t == p == label for t, p in zip(true, predicted, strict=True))
        called, present = list(predicted).count(label), list(true).count(label)
        values.append(2 * hits / (called + present) if called + present else 0.0)
    return sum(values) / len(values)


def discrimination_loops(predicted, own, candidates, distance):
    """Share of the other candidates that are farther than the true one, equal ones counted half."""
    values = []
    for prediction, i in zip(predicted, own, strict=True):
        distances = [distance(prediction, candidate) for candidate in candidates]
        others = distances[:i] + distances[i + 1 :]
        beaten = sum(1.0 if d > distances[i] else 0.5 if d == distances[i] else 0.0 for d in others)
        values.append(beaten / len(others))
    return values
