"""Checkpoints of a fit that runs as a job: saved on signals too, gone once the fit is written."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lcd_core.checkpoints import Checkpoints, TrainingStopped
from pipeline.job import INTERRUPTED, STOPPED

logger = logging.getLogger(__name__)


@contextmanager
def checkpoints(path: str, interval: float, code: str) -> Iterator[Checkpoints]:
    """Give a fit its checkpoints; around both the fit and the writing of what it gives.

    On SIGUSR1 the fit saves a checkpoint and goes on; on SIGTERM, which clusters send before they
    kill a job, and on the first Ctrl-C it saves one and the process ends with exit code 143 or
    130. The same job then goes on from there. The file is removed when the body ends without an
    error.

    Parameters
    ----------
    path
        Where, outside the job's declared outputs, which are removed when it fails.
    interval
        Seconds between two checkpoints.
    code
        Hash of the code of the job: checkpoints of other code are not used.
    """
    own = Checkpoints(path, interval, code)
    exit_code = STOPPED

    def save(number: int, frame: FrameType | None) -> None:
        own.save_requested = True

    def save_and_stop(number: int, frame: FrameType | None) -> None:
        own.stop_requested = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal exit_code
        exit_code = INTERRUPTED
        own.stop_requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second one ends it at once

    handlers = {
        signal.SIGUSR1: save,
        signal.SIGTERM: save_and_stop,
        signal.SIGINT: interrupt,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield own
    except TrainingStopped as stopped:
        logger.warning("%s", stopped)
        raise SystemExit(exit_code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    own.delete()
