"""What both inference steps share: learning rates, records, progress, and a divergence guard."""

import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tqdm import tqdm

from lcd_core.errors import InputError

logger = logging.getLogger(__name__)


class TrainingDiverged(InputError):
    """Training produced a non-finite or exploding loss."""


def cosine_learning_rate(step: int, peak: float, steps: int, warmup_steps: int = 0) -> float:
    """Linear warm-up to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``.

    ``step`` counts from 0. The first step of a warm-up already moves.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * peak * (1.0 + math.cos(math.pi * min(1.0, progress)))


@dataclass
class StepReport:
    """What one optimizer step tells: floats only, so that nothing keeps the graph alive."""

    loss: float
    gradient_norm: float
    learning_rate: float
    evidence: float = math.nan


@dataclass
class TrainingLog:
    """Rows of the training table; each averages the steps since the row before.

    ``rows`` has the keys step, loss, evidence, learning_rate, gradient_norm, seconds: mean loss,
    mean log-evidence per cell in nats (NaN where there is none), learning rate of the last step,
    mean gradient norm before clipping, and seconds since the start.
    """

    rows: list[dict[str, float]] = field(default_factory=list)


def run_steps(
    step: Callable[[int], StepReport],
    steps: int,
    *,
    name: str,
    log_every: int,
    explosion: float = 1e3,
) -> TrainingLog:
    """Call ``step(0 .. steps-1)`` with progress, records and a guard.

    On a terminal a bar moves; otherwise a plain line is logged ten times over the run.

    Parameters
    ----------
    step
        Performs one optimizer step.
    steps, log_every
        Number of steps, and of steps per row of the log.
    name
        What is being trained, for messages.
    explosion
        The run stops once a row's mean loss exceeds the first row's by this many times its
        magnitude.

    Raises
    ------
    TrainingDiverged
        On a loss or gradient that is not finite, or on an explosion.
    """
    log = TrainingLog()
    window: list[StepReport] = []
    start = time.monotonic()
    terminal = sys.stderr.isatty()
    bar = tqdm(total=steps, desc=name, disable=not terminal, mininterval=1.0, leave=False)
    announce = max(1, steps // 10)
    for index in range(steps):
        report = step(index)
        if not (math.isfinite(report.loss) and math.isfinite(report.gradient_norm)):
            raise TrainingDiverged(
                f"training of the {name} diverged at step {index + 1} of {steps}",
                found=f"loss {report.loss:g}, gradient norm {report.gradient_norm:g}, "
                f"learning rate {report.learning_rate:g}",
                remedy="lower the learning rate or lengthen its warm-up",
            )
        window.append(report)
        bar.update()
        if len(window) == log_every or index + 1 == steps:
            row = _average(window, index + 1, time.monotonic() - start)
            log.rows.append(row)
            window = []
            first = log.rows[0]["loss"]
            if row["loss"] > first + explosion * max(1.0, abs(first)):
                raise TrainingDiverged(
                    f"the loss of the {name} exploded by step {index + 1} of {steps}",
                    found=f"mean loss {row['loss']:g}, at the start {first:g}",
                    remedy="lower the learning rate or lengthen its warm-up",
                )
            bar.set_postfix(loss=f"{row['loss']:.4g}", refresh=False)
        if not terminal and (index + 1) % announce == 0:
            seconds = time.monotonic() - start
            left = seconds * (steps / (index + 1) - 1)
            logger.info(
                "%s: step %d of %d, loss %.4g, %.0f s, about %.0f s left",
                name, index + 1, steps, report.loss, seconds, left,
            )  # fmt: skip
    bar.close()
    return log


def _average(window: list[StepReport], step: int, seconds: float) -> dict[str, float]:
    n = len(window)
    return {
        "step": float(step),
        "loss": sum(r.loss for r in window) / n,
        "evidence": sum(r.evidence for r in window) / n,
        "learning_rate": window[-1].learning_rate,
        "gradient_norm": sum(r.gradient_norm for r in window) / n,
        "seconds": seconds,
    }
