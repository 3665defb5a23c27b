"""The one loop in which both inference steps train: log, guard, progress, checkpoints."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from lcd_core import __version__
from lcd_core.checkpoints import Checkpoints, TrainingStopped, fingerprint
from lcd_core.errors import InputError
from lcd_core.files import Layout
from lcd_core.progress import is_watched

logger = logging.getLogger(__name__)

COLUMNS = ("step", "loss", "evidence", "learning_rate", "gradient_norm", "seconds")
EXPLOSION = 1e3
"""A training stops once the mean loss of a row exceeds the first row's by so many times its
magnitude."""


class TrainingDiverged(InputError):
    """Training produced a non-finite or exploding loss."""


class Training(Protocol):
    """A training that can be interrupted after every step.

    Attributes
    ----------
    name
        What is being trained, for messages.
    steps, log_every
        Number of steps, and of steps per row of the log.
    reports
        Names of what a step reports: ``loss``, ``gradient_norm``, and perhaps ``evidence``.
    done
        Steps done.
    device
        Where it trains.
    """

    name: str
    steps: int
    log_every: int
    reports: tuple[str, ...]
    done: int
    device: torch.device

    def step(self) -> Tensor:
        """Do one optimizer step; what it reports, float64 on the device, without waiting."""

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that the remaining steps depend on: weights, optimizer, random streams, count."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""

    def identity(self) -> dict[str, Any]:
        """What the result depends on, by name: settings, seed, data."""


def cosine_learning_rate(step: int, peak: float, steps: int, warmup_steps: int) -> float:
    """Linear warm-up to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``.

    ``step`` counts from 0. The first step of a warm-up already moves.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * peak * (1.0 + math.cos(math.pi * min(1.0, progress)))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from host memory to the device without waiting for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class TrainingLog:
    """Rows of the training table; each averages the steps since the row before.

    What the steps of a row report is collected on the device and read once per row, so that no
    step waits for the one before.

    Attributes
    ----------
    rows
        Mappings with the keys :data:`COLUMNS`: steps done, mean loss, mean log-evidence per cell
        in nats (NaN where there is none), learning rate of the last step, mean gradient norm
        before clipping, and seconds of training.
    """

    def __init__(self, training: Training) -> None:
        self.rows: list[dict[str, float]] = []
        self._reports = training.reports
        shape = (min(training.log_every, training.steps), len(training.reports))
        self._window = torch.zeros(shape, dtype=torch.float64, device=training.device)
        self._filled = 0
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before an interruption included."""
        return time.monotonic() - self._start

    def add(self, report: Tensor) -> bool:
        """Take in what one step reports; whether the row is full."""
        self._window[self._filled] = report
        self._filled += 1
        return self._filled == len(self._window)

    def close_row(self, step: int, learning_rate: float) -> list[dict[str, float]]:
        """Append the row that ends with this many steps; what its steps report, one by one."""
        values = self._window[: self._filled].tolist()
        self._filled = 0
        row = dict.fromkeys(COLUMNS, math.nan)
        row |= {
            name: sum(own[column] for own in values) / len(values)
            for column, name in enumerate(self._reports)
        }
        row |= {"step": float(step), "learning_rate": learning_rate, "seconds": self.seconds}
        self.rows.append(row)
        return [dict(zip(self._reports, own, strict=True)) for own in values]

    def state_dict(self) -> dict[str, Tensor]:
        """All rows, the half-filled one, and the seconds."""
        rows = [[row[name] for name in COLUMNS] for row in self.rows]
        return {
            "rows": torch.tensor(rows, dtype=torch.float64).reshape(-1, len(COLUMNS)),
            "window": self._window[: self._filled].clone(),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
        }

    def agrees_with(self, done: int) -> bool:
        """Whether rows and the half-filled one are those of so many steps."""
        length = len(self._window)
        last = self.rows[-1]["step"] if self.rows else 0.0
        return self._filled < length and last + self._filled == done

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        self.rows = [dict(zip(COLUMNS, row, strict=True)) for row in state["rows"].tolist()]
        self._filled = len(state["window"])
        self._window[: self._filled] = state["window"]
        self._start = time.monotonic() - state["seconds"].item()


def train(training: Training, checkpoints: Checkpoints | None = None) -> TrainingLog:
    """Do all steps of a training, or those that are left, with log, guard and progress.

    On a terminal and in a notebook a bar moves; otherwise a plain line is logged ten times over
    the run.

    Parameters
    ----------
    training
        What to train.
    checkpoints
        Where to save progress, and to go on from if there is some. The result is the same, bit
        for bit, however often the training was interrupted.

    Returns
    -------
    TrainingLog
        Rows of all steps, those before an interruption included.

    Raises
    ------
    TrainingDiverged
        On a loss or gradient that is not finite, or on an explosion; noticed at the end of a row.
    TrainingStopped
        If the checkpoints ask for it; one has been saved.
    """
    log = TrainingLog(training)
    mark = _fingerprint(training, checkpoints.code) if checkpoints is not None else {}
    if checkpoints is not None:
        _resume(training, log, checkpoints, mark)
    announce = max(1, training.steps // 10)
    watched = is_watched()
    with tqdm(
        desc=training.name, total=training.steps, initial=training.done,
        disable=not watched, mininterval=1.0, leave=False,
    ) as bar:  # fmt: skip
        while training.done < training.steps:
            full = log.add(training.step())
            bar.update()
            if full or training.done == training.steps:
                steps = log.close_row(training.done, training.learning_rate(training.done - 1))
                _check_row(training, log.rows, steps)
                bar.set_postfix(loss=f"{log.rows[-1]['loss']:.4g}", refresh=False)
            if not watched and training.done % announce == 0:
                _announce(training, log)
            if checkpoints is not None and checkpoints.due:
                checkpoints.save(_state(training, log), mark)
                if checkpoints.stop_requested:
                    raise TrainingStopped(
                        f"training of the {training.name} stopped at step {training.done} of "
                        f"{training.steps}; it goes on from {checkpoints.path}"
                    )
    return log


def _fingerprint(training: Training, code: str) -> dict[str, str]:
    place = {
        "code": code,
        "version": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": training.device.type,
    }
    return fingerprint({**training.identity(), **place})


def _state(training: Training, log: TrainingLog) -> dict[str, Tensor]:
    parts = {"training": training.state_dict(), "log": log.state_dict()}
    return {f"{part}.{name}": t for part, own in parts.items() for name, t in own.items()}


def _resume(
    training: Training, log: TrainingLog, checkpoints: Checkpoints, mark: Mapping[str, str]
) -> None:
    layout: Layout = {name: (t.dtype, tuple(t.shape)) for name, t in _state(training, log).items()}
    free = {"log.rows": (None, len(COLUMNS)), "log.window": (None, len(training.reports))}
    tensors = checkpoints.load(mark, {**layout, **{n: (torch.float64, s) for n, s in free.items()}})
    if tensors is None:
        return
    try:
        for part, own in (("training.", training), ("log.", log)):
            own.load_state_dict(
                {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
            )
        if not 0 < training.done <= training.steps:
            raise ValueError(f"{training.done} of {training.steps} steps are done")
        if not log.agrees_with(training.done):
            raise ValueError(f"its log is not that of {training.done} steps")
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            "the checkpoint is of this training, but its state is none that it can have",
            where=str(checkpoints.path),
            found=str(error).splitlines()[0],
            remedy="delete the file: training then begins at its first step",
        ) from error
    logger.info("%s: goes on at step %d of %d", training.name, training.done, training.steps)


def _check_row(
    training: Training, rows: list[dict[str, float]], reports: list[dict[str, float]]
) -> None:
    """Raise if a step of the last row was not finite, or its loss exploded."""
    remedy = "lower the learning rate or lengthen its warm-up"
    first = training.done - len(reports)
    for step, report in enumerate(reports, start=first):
        loss, norm = report["loss"], report["gradient_norm"]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingDiverged(
                f"training of the {training.name} diverged at step {step + 1} of {training.steps}",
                found=f"loss {loss:g}, gradient norm {norm:g}, "
                f"learning rate {training.learning_rate(step):g}",
                remedy=remedy,
            )
    start, now = rows[0]["loss"], rows[-1]["loss"]
    if now > start + EXPLOSION * max(1.0, abs(start)):
        raise TrainingDiverged(
            f"the loss of the {training.name} exploded by step {training.done} of {training.steps}",
            found=f"mean loss {now:g}, at the start {start:g}",
            remedy=remedy,
        )


def _announce(training: Training, log: TrainingLog) -> None:
    loss = f"{log.rows[-1]['loss']:.4g}" if log.rows else "not known yet"
    seconds = log.seconds
    left = seconds * (training.steps / training.done - 1)
    logger.info(
        "%s: step %d of %d, loss %s, %.0f s, about %.0f s left",
        training.name, training.done, training.steps, loss, seconds, left,
    )  # fmt: skip
