"""The one file format of fitted objects: weights as safetensors, everything else as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lcd_core.errors import InputError

FORMAT = 1


def save_tensors(
    folder: str | Path, stem: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write ``<stem>.safetensors`` and ``<stem>.json`` into ``folder``."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, folder / f"{stem}.safetensors")
    text = json.dumps({"format": FORMAT, **metadata}, indent=1)
    (folder / f"{stem}.json").write_text(text + "\n")


def load_tensors(
    folder: str | Path, stem: str, device: str | torch.device = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote: tensors and metadata.

    Raises
    ------
    InputError
        If a file is missing, damaged, or of another format.
    """
    folder = Path(folder)
    try:
        metadata = json.loads((folder / f"{stem}.json").read_text())
        tensors = load_file(folder / f"{stem}.safetensors", device=str(device))
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"cannot read the fitted {stem}",
            where=str(folder),
            found=str(error),
            remedy=f"delete the folder and fit the {stem} again",
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"the fitted {stem} has another format than {FORMAT}",
            where=str(folder / f"{stem}.json"),
            found=str(metadata.get("format")),
            remedy=f"fit the {stem} again with this version",
        )
    return tensors, metadata
