"""How a script runs as a job of the workflow: logging, threads, and errors as one message."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcd_core.errors import InputError


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
    return None


def run_job(main: Callable[..., None], snakemake: Any) -> None:
    """Call ``main`` with the rule's named inputs, outputs and params as keyword arguments."""
    configure_logging(snakemake.log[0] if snakemake.log else None)
    arguments: dict[str, Any] = {}
    for group in (snakemake.input, snakemake.output, snakemake.params):
        for name, value in group.items():
            arguments[name] = value
    for name in ("source", "program"):  # a hash of the code, and which script it is
        arguments.pop(name, None)
    if "threads" in arguments:
        import torch

        torch.set_num_threads(int(arguments.pop("threads")))
    try:
        main(**arguments)
    except InputError as error:
        logging.error("%s", error)
    except OSError as error:
        message = system_error_message(error)
        if message is None:
            raise
        logging.error("%s", message)
    except Exception:
        logging.exception("unexpected error; please report it with this log")
    else:
        return
    sys.stderr.flush()
    os._exit(1)  # skips the interpreter's teardown, whose own messages would hide the one above
