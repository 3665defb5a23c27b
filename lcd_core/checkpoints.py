"""Files from which an interrupted training goes on as if nothing had happened."""

import json
import logging
import os
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.files import Layout, Metadata, load_tensors, save_tensors
from lcd_core.settings import CHECKPOINT_INTERVAL

logger = logging.getLogger(__name__)

KIND = "checkpoint"


class TrainingStopped(Exception):
    """Training was asked to stop, has saved a checkpoint, and has stopped."""


class Checkpoints:
    """When a training saves its progress, where, and what that must agree with.

    A signal handler, or anything else, sets ``save_requested`` to have a checkpoint saved after the
    current step, or ``stop_requested`` to have the training stop after that as well. Whoever made
    this object deletes the file once the result is in safety.

    Parameters
    ----------
    path
        The file. What it holds is used if it is of the same training, and overwritten otherwise.
    interval
        Seconds between two checkpoints.
    code
        Any text that stands for the code that trains, such as a hash of it.

    Attributes
    ----------
    save_requested, stop_requested
        Requests; the first is met once, the second for good.
    """

    def __init__(
        self, path: str | Path, interval: float = CHECKPOINT_INTERVAL, code: str = ""
    ) -> None:
        self.path, self.interval, self.code = Path(path), interval, code
        self.save_requested = self.stop_requested = False
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        requested = self.save_requested or self.stop_requested
        return requested or time.monotonic() - self._last >= self.interval

    def save(self, tensors: Mapping[str, Tensor], fingerprint: Mapping[str, str]) -> None:
        """Write a checkpoint, whole or not at all."""
        self.save_requested = False
        save_tensors(self.path, KIND, tensors, {"fingerprint": dict(fingerprint)})
        self._last = time.monotonic()

    def load(self, fingerprint: Mapping[str, str], layout: Layout) -> dict[str, Tensor] | None:
        """Tensors of the last checkpoint; None if there is none of this very training.

        One that cannot be used, be it damaged or of another training, is said to be so in the log.

        Parameters
        ----------
        fingerprint
            Hashes of whatever the result of the training depends on, by name.
        layout
            The tensors that a checkpoint of this training has.

        Raises
        ------
        InputError
            If a folder is in the way of the file.
        """
        if not os.path.lexists(self.path):
            return None
        if self.path.is_dir():
            raise InputError(
                "a folder stands where checkpoints are saved",
                where=str(self.path),
                remedy="move it away or delete it",
            )

        def own(metadata: Metadata) -> Layout:
            found = metadata.values.get("fingerprint")
            found = found if isinstance(found, dict) else {}
            names = sorted(fingerprint.keys() | found.keys())
            other = [name for name in names if found.get(name) != fingerprint.get(name)]
            if other:
                reason = f"it is of a training with other {', '.join(other)}"
                raise InputError("another training", found=reason)
            return layout

        try:
            return load_tensors(self.path, KIND, layout=own)[0]
        except InputError as error:
            logger.warning(
                "the checkpoint %s is not used: %s; training begins at its first step",
                self.path,
                error.found,
            )
        return None

    def delete(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def fingerprint(parts: Mapping[str, Any]) -> dict[str, str]:
    """Hash of each part, anything that JSON can hold."""
    return {
        name: blake2b(json.dumps(part, sort_keys=True).encode(), digest_size=8).hexdigest()
        for name, part in parts.items()
    }
