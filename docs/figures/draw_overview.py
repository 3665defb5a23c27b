"""Draw docs/figures/overview.svg: LCD on a screen of two genes, fitted as the figure is drawn.

    PYTHONPATH=.:workflow/scripts python docs/figures/draw_overview.py

Cells of a nonlinear system of two genes are simulated under no perturbation, under A, under B and
under both. LCD is fitted to the first three; the last is what it has to predict.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lcd_core.fit import LCDSettings, fit
from lcd_core.model import LCD
from lcd_core.settings import DriftSettings, PriorSettings
from pipeline.figures import MUTED, new_figure, save, style

GENES = ["gene 1", "gene 2"]
COLOURS = {"control": "#6E6E6E", "A": "#0072B2", "B": "#D55E00", "A+B": "#009E73"}
SHIFTS = {"control": (0.0, 0.0), "A": (3.0, 0.0), "B": (0.0, 3.0), "A+B": (3.0, 3.0)}
SCALE = 6.0  # counts per unit of softplus(x)
CELLS = 1000
SHOWN = 100  # cells drawn per condition: the file stays small
LEVEL = 10  # noise level at which the drift is drawn, of 30


def true_states(shift: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """States at rest of ``dx = (c - x + W tanh x) dt + sqrt(2) dW``, shape (CELLS, 2)."""
    weights = np.array([[0.0, 0.5], [-2.0, 0.0]])  # gene 1 represses 2, which activates 1
    constant = np.array([-0.5, 1.0]) + shift
    x = np.tile(constant, (CELLS, 1))
    step = 0.02
    for _ in range(1000):
        noise = rng.normal(size=x.shape)
        x = x + step * (constant - x + np.tanh(x) @ weights.T) + np.sqrt(2 * step) * noise
    return x


def simulate(seed: int) -> dict[str, NDArray[np.int64]]:
    """Counts of all conditions, each (CELLS, 2)."""
    rng = np.random.default_rng(seed)
    counts = {}
    for name, shift in SHIFTS.items():
        states = true_states(shift, rng)
        counts[name] = rng.poisson(SCALE * np.logaddexp(0, states))
    return counts


def fit_model(counts: dict[str, NDArray[np.int64]], seed: int) -> LCD:
    """Fit all but the combination, in seconds."""
    settings = LCDSettings(
        prior=PriorSettings(
            steps=700, warmup_steps=50, learning_rate=3e-3, monte_carlo_states=200, temperature=1.0
        ),
        drift=DriftSettings(
            hidden=128, embedding_dimensions=16, samples=4000, steps=1000, batch_states=256
        ),
    )
    training = {name: own for name, own in counts.items() if name != "A+B"}
    return fit(training, GENES, settings=settings, seed=seed)


def jittered(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Counts as they are drawn: spread within their integer, on a logarithmic scale."""
    return np.log1p(counts[:SHOWN] + rng.uniform(-0.4, 0.4, (SHOWN, 2)))


def dots(axes: Axes, points: NDArray[np.float64], name: str, **looks: Any) -> None:
    """Draw cells of a condition."""
    own: dict[str, Any] = {
        "s": 5,
        "linewidths": 0,
        "alpha": 0.7,
        "color": COLOURS[name],
        "label": name,
    }
    axes.scatter(points[:, 0], points[:, 1], **(own | looks))


def draw_drift(axes: Axes, model: LCD) -> None:
    """Draw the drift of the combination as arrows over the states of all conditions."""
    low, high = axes.get_xlim(), axes.get_ylim()
    grid = np.stack(np.meshgrid(np.linspace(*low, 11), np.linspace(*high, 11)), axis=-1)
    points = torch.as_tensor(grid.reshape(-1, 2), dtype=torch.float32)
    units = model.transform.units
    with torch.no_grad():
        drift = model.drift(units.from_original(points).float(), torch.ones(1, 2), LEVEL)
    arrows = units.drift_to_original(drift).numpy()
    arrows = arrows / np.sqrt(1 + np.linalg.norm(arrows, axis=1, keepdims=True))
    axes.quiver(*points.T, *arrows.T, color=COLOURS["A+B"], width=0.004, zorder=3)


def main(path: Path, seed: int = 1) -> None:
    """Simulate, fit and draw."""
    counts = simulate(seed)
    model = fit_model(counts, seed)
    rng = np.random.default_rng(seed)
    targets = {"control": [], "A": ["A"], "B": ["B"], "A+B": ["A", "B"]}
    states = {
        name: model.transform.units.to_original(model.sample_states(own, SHOWN, seed=seed)).numpy()
        for name, own in targets.items()
    }
    predicted = model.sample(["A", "B"], CELLS, seed=seed).numpy()
    with style():
        figure = new_figure(2.5)
        observed, latent, unseen = figure.subplots(1, 3)
        for name in ("control", "A", "B"):
            dots(observed, jittered(counts[name], rng), name)
            dots(latent, states[name], name, alpha=0.35)
        draw_drift(latent, model)
        for name in ("control", "A", "B"):
            dots(unseen, jittered(counts[name], rng), name, alpha=0.12, label=None)
        dots(unseen, jittered(counts["A+B"], rng), "A+B", color="#222222", label="observed A+B")
        dots(unseen, jittered(predicted, rng), "A+B", label="predicted A+B")
        observed.set_title("Cells as they are counted")
        latent.set_title("Latent states, drift of A+B")
        unseen.set_title("Cells under A+B, held out")
        for axes in (observed, unseen):
            axes.set_xlabel("gene 1, log1p(counts)")
            axes.set_ylabel("gene 2, log1p(counts)")
            axes.set_xlim(0, 4.2)
            axes.set_ylim(0, 4.2)
        latent.set_xlabel("state of gene 1")
        latent.set_ylabel("state of gene 2")
        for axes in (observed, unseen):
            axes.legend(loc="lower left", handletextpad=0.1, borderpad=0.1)
            for handle in axes.get_legend().legend_handles:
                handle.set(alpha=1, sizes=[14])
        for axes in (observed, latent, unseen):
            axes.tick_params(colors=MUTED)
        save(figure, path)
    print(counts["A+B"].mean(0), predicted.mean(0), counts["A+B"].var(0), predicted.var(0))


if __name__ == "__main__":
    main(Path(__file__).with_name("overview.svg"))
