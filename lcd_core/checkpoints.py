"""Files from which an interrupted training goes on as if nothing had happened."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.files import load_tensors, save_tensors
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

    def load(self, fingerprint: Mapping[str, str]) -> dict[str, Tensor] | None:
        """Tensors of the last checkpoint; None if there is none of this very training.

        Parameters
        ----------
        fingerprint
            Hashes of whatever the result of the training depends on, by name.
        """
        if not self.path.exists():
            return None
        try:
            tensors, metadata = load_tensors(self.path, KIND)
        except InputError as error:
            reason = str(error.found)
        else:
            found = metadata["fingerprint"]
            if found == fingerprint:
                return tensors
            names = sorted(fingerprint.keys() | found.keys())
            other = [name for name in names if found.get(name) != fingerprint.get(name)]
            reason = f"it is of a training with other {', '.join(other)}"
        logger.warning("the checkpoint %s is not used: %s", self.path, reason)
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


def digest(tensors: Iterable[Tensor]) -> str:
    """Hash of the content of tensors, one after the other."""
    own = blake2b(digest_size=16)
    for tensor in tensors:
        own.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        own.update(tensor.detach().cpu().contiguous().numpy().data)
    return own.hexdigest()
