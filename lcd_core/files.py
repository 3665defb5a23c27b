"""The one file format of this package: safetensors, with everything else as JSON in its header."""

import errno
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lcd_core import __version__
from lcd_core.atomic import atomic
from lcd_core.errors import InputError

FORMAT = 2
HEADER = "lcd_core"
"""Key of the header's metadata; one alone, so that equal content gives equal bytes."""


def save_tensors(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write one safetensors file, whole or not at all.

    Parameters
    ----------
    path
        The file.
    kind
        What it holds, as in "cannot read the <kind>"; a file of another kind is not loaded.
    tensors
        Named tensors, on any device.
    metadata
        Anything that JSON can hold.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"kind": kind, "format": FORMAT, "version": __version__, **metadata}
    with atomic(path) as temporary:
        try:
            save_file(plain, temporary, metadata={HEADER: json.dumps(about)})
        except SafetensorError as error:
            raise _system_error(error, path) from error


def load_tensors(
    path: str | Path, kind: str, device: str | torch.device = "cpu", origin: str | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote: tensors and metadata.

    Parameters
    ----------
    path
        The file.
    kind
        What it holds.
    device
        Where the tensors go.
    origin
        Where such a file comes from, for the message that it is missing.

    Raises
    ------
    InputError
        If the file is missing or damaged, or of another kind or format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"cannot read the {kind}",
            where=str(path),
            found=_instead_of_a_file(path),
            remedy=f"give the path of the file that holds a {kind}"
            + ("" if origin is None else f"; {origin}"),
        )
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            _check(metadata, kind, path)
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"cannot read the {kind}",
            where=str(path),
            found=str(error),
            remedy="delete the file and make it again",
        ) from error


def _instead_of_a_file(path: Path) -> str:
    """Say what is missing: the file, or the first of its folders; or that it is a folder."""
    if path.is_dir():
        files = sorted(entry.name for entry in path.glob("*.safetensors"))
        return f"a folder, with {', '.join(files)} in it" if files else "a folder"
    missing = path.absolute()
    while not missing.parent.exists():
        missing = missing.parent
    return "no such file" if missing == path.absolute() else f"no such folder: {missing}"


def _check(metadata: Mapping[str, Any], kind: str, path: Path) -> None:
    if not metadata:
        raise InputError(
            f"this file holds no {kind}, or one of an earlier version",
            where=str(path),
            found="a safetensors file without the metadata of this program",
            remedy=f"give the path of a {kind}, or make it again with this version",
        )
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"the {kind} has another format than {FORMAT}",
            where=str(path),
            found=f"{metadata.get('format')}, of version {metadata.get('version')}",
            remedy=f"make the {kind} again with this version",
        )
    if metadata.get("kind") != kind:
        raise InputError(
            f"this file holds no {kind}",
            where=str(path),
            found=str(metadata.get("kind")),
            remedy=f"give the path of a {kind}",
        )


def _system_error(error: SafetensorError, path: str | Path) -> OSError:
    """What safetensors tells of an error of the system in words, as Python has it."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code), str(path))
