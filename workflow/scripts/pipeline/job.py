"""How a script runs as a job of the workflow: logging, threads, and errors as one message."""

import ctypes
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lcd_core.errors import InputError
from pipeline.gpus import own_gpu
from pipeline.ownership import ClaimLost, ancestors_up_to_snakemake, claim, end_with

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
STOPPED = 128 + signal.SIGTERM
"""Exit codes of a job that fails, is interrupted, or is asked to end."""
TROUBLES = {
    errno.EFBIG: "raise the limit of the size of files (ulimit -f), or use another file system",
    errno.EIO: "see whether the disk or the network file system is healthy",
    errno.ESTALE: "see whether the network file system is healthy",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, for the machine has too many open files",
}


def configure_logging(log: str | None) -> None:
    """Send log lines to the terminal and, where given, to the rule's log file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log is not None:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="w"))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,
    )
    logging.captureWarnings(True)


def system_error_message(error: OSError) -> str | None:
    """Explain an error of the file system that the user can mend; None for any other."""
    place = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free space and run the same command again"
        return f"{place}: no space left on the disk\n  remedy: {remedy}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "change the permissions or run in a folder of your own"
        return f"{place}: no permission ({error.strerror})\n  remedy: {remedy}"
    if error.errno in TROUBLES:
        return (
            f"{place}: {error.strerror}\n  remedy: {TROUBLES[error.errno]}, "
            "and run the same command again"
        )
    return None


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(STOPPED)


@contextmanager
def signals() -> Iterator[None]:
    """End on SIGTERM as on an error, so that nothing half-written is left; ignore SIGUSR1.

    Schedulers send the latter to announce the end of a job; fits answer it with a checkpoint (see
    :func:`pipeline.checkpoints.checkpoints`), other jobs have nothing to save.
    """
    handlers: dict[int, Any] = {signal.SIGTERM: _stop, signal.SIGUSR1: signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""As malloc.h of glibc has them."""


def set_threads(number: int) -> None:
    """Fix the threads of torch, also of a torch that is imported later, which many jobs never do.

    Importing it here would cost these jobs more than all that they compute.
    """
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(number)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(number)
        # Weight decay drives dead weights below 1e-38, where a CPU is seven times slower; threads
        # started later inherit this.
        torch.set_flush_denormal(True)
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Have the C library keep freed tensors of up to 32 MiB for the next ones.

    It gives memory back to the system otherwise, at every step of a training, and gets pages full
    of zeros for it: half of the time that a likelihood of 1,000 states and genes takes. Elsewhere
    than with glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # its largest value
    mallopt(M_TRIM_THRESHOLD, 512 * 2**20)


def run_job(main: Callable[..., None], snakemake: Any) -> None:
    """Call ``main`` with the rule's named inputs, outputs and params as keyword arguments.

    The outputs, and the file of checkpoints, are this job's to write until it ends, and it ends
    with the Snakemake that has started it (see :mod:`pipeline.ownership`). The exit code is 1
    after an error, 130 after an interrupt (Ctrl-C), and 143 after SIGTERM.
    """
    configure_logging(snakemake.log[0] if snakemake.log else None)
    arguments: dict[str, Any] = {}
    for group in (snakemake.input, snakemake.output, snakemake.params):
        for name, value in group.items():
            arguments[name] = value
    for name in ("source", "program"):  # a hash of the code, and which script it is
        arguments.pop(name, None)
    gpu = own_gpu(arguments.get("device", "cpu"))
    if "threads" in arguments:
        set_threads(int(arguments.pop("threads")))
    own = [*snakemake.output, *(arguments[name] for name in ("checkpoint",) if name in arguments)]
    watch = end_with(ancestors_up_to_snakemake(), STOPPED)
    code = FAILED
    try:
        with signals(), claim(own), gpu:
            main(**arguments)
        return
    except InputError as error:
        logging.error("%s", error)
    except OSError as error:
        message = system_error_message(error)
        if message is None:
            logging.exception("unexpected error; please report it with this log")
        else:
            logging.error("%s", message)
    except ClaimLost as error:
        logging.error("%s", error)
    except MemoryError as error:
        logging.error(
            "not enough memory (%s)\n  remedy: run fewer jobs at a time, or on a machine "
            "with more memory",
            error,
        )
    except KeyboardInterrupt:
        logging.error("interrupted")
        code = INTERRUPTED
    except SystemExit as end:
        logging.error("asked to end")
        code = end.code if isinstance(end.code, int) else FAILED
    except Exception:
        logging.exception("unexpected error; please report it with this log")
    finally:
        watch.set()
    sys.stderr.flush()
    os._exit(code)  # skips the interpreter's teardown, whose own messages would hide the one above
