"""The one file format of this package: safetensors, with everything else as JSON in its header.

A file may come from anywhere. It holds numbers and text, and nothing that is executed. Kind,
format, names, types and shapes are compared with what its reader expects before a tensor is read,
so that nothing is allocated because a file says so. A digest of the content tells damage.
"""

import dataclasses
import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lcd_core import __version__
from lcd_core.atomic import atomic
from lcd_core.errors import InputError, shown
from lcd_core.settings import Settings

FORMAT = 5
HEADER = "lcd_core"
"""Key of the header's metadata; one alone, so that equal content gives equal bytes."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of tensors as the header of a file names them."""

Layout = Mapping[str, tuple[torch.dtype, tuple[int | None, ...]]]
"""Type and shape of every tensor of a file, by name; None where a length is free."""
OwnSettings = TypeVar("OwnSettings", bound=Settings)


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
    about = {"kind": kind, "format": FORMAT, "version": __version__, "digest": "", **metadata}
    about["digest"] = _content_digest(about, plain)
    with atomic(path) as temporary:
        try:
            save_file(plain, temporary, metadata={HEADER: json.dumps(about)})
        except SafetensorError as error:
            raise _system_error(error, path) from error


@dataclass(frozen=True)
class Metadata:
    """Metadata of a file whose kind and format are right, read key by key.

    Attributes
    ----------
    values
        What the header says.
    kind, path
        What the file holds, and where it is, for messages.
    """

    values: Mapping[str, Any]
    kind: str
    path: Path

    def refused(self, what: str, key: str, found: object) -> InputError:
        """The error about one of the values."""
        return InputError(
            what,
            where=f"{self.path}, {key}",
            found=_short(found),
            remedy=f"make the {self.kind} again; if it is from elsewhere, do not use it",
        )

    def names(self, key: str) -> list[str]:
        """A list of distinct texts, none empty."""
        found = self.values.get(key)
        texts = isinstance(found, list) and all(isinstance(name, str) and name for name in found)
        if not texts or len(set(found)) < len(found):  # type: ignore[arg-type]
            raise self.refused("a list of distinct names is expected", key, found)
        return list(found)  # type: ignore[arg-type]

    def seed(self) -> int | None:
        """The seed of a fit; None where it was not said."""
        found = self.values.get("seed")
        if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
            raise self.refused("a seed is an integer", "seed", found)
        return found

    def settings(self, kind: type[OwnSettings], *keys: str) -> OwnSettings:
        """Settings of a kind, with the same names of fields and valid values, at nested keys."""
        found: Any = self.values
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        place = ".".join(keys)
        names = {own.name for own in dataclasses.fields(kind)}
        if not isinstance(found, Mapping) or found.keys() != names:
            given = found.keys() if isinstance(found, Mapping) else found
            raise self.refused(
                f"the settings {shown(sorted(names), 50)} are expected", place, given
            )
        try:
            return kind(**found)
        except InputError as error:
            raise self.refused(error.what, f"{place}, {error.where}", error.found) from error


def load_tensors(
    path: str | Path,
    kind: str,
    device: str | torch.device = "cpu",
    layout: Callable[[Metadata], Layout] | None = None,
    origin: str | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote: tensors and metadata.

    Parameters
    ----------
    path, kind
        As in :func:`save_tensors`.
    device
        Where the tensors go.
    layout
        Gives the tensors that the metadata promise; a file with others is refused before any of
        them is read. None takes whatever is there.
    origin
        Where such a file comes from, for the message that it is missing.

    Raises
    ------
    InputError
        If the file is missing or damaged, of another kind or format, or has other tensors.
    """
    path = Path(path)
    _require_file(path, kind, origin)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = _parsed((file.metadata() or {}).get(HEADER, "{}"))
            _check(metadata, kind, path)
            own = Metadata(metadata, kind, path)
            if layout is not None:
                _check_layout(file, layout(own), own)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.get("digest") != _content_digest(metadata, tensors):
                raise ValueError("the content does not agree with its digest: it was changed")
            return {name: tensor.to(device) for name, tensor in tensors.items()}, metadata
    except InputError:
        raise
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(
            f"cannot read the {kind}",
            where=str(path),
            found=str(error),
            remedy="delete the file and make it again",
        ) from error


def require_finite(tensors: Mapping[str, Tensor], kind: str, path: str | Path) -> None:
    """Raise InputError if a tensor of a file has values that are not finite."""
    found = {name: int((~tensor.isfinite()).sum()) for name, tensor in tensors.items()}
    require_values(
        (f"{name}: {number} values" for name, number in found.items() if number),
        "values are not finite",
        kind,
        path,
    )


def require_values(wrong: Iterable[str], what: str, kind: str, path: str | Path) -> None:
    """Raise InputError if there is anything wrong with the values of a file."""
    found = list(wrong)
    if found:
        raise InputError(
            f"the {kind} cannot be used: {what}",
            where=str(path),
            found=found,
            remedy=f"make the {kind} again; if it is from elsewhere, do not use it",
        )


def digest(tensors: Iterable[Tensor]) -> str:
    """Hash of the content of tensors, one after the other."""
    own = blake2b(digest_size=16)
    for tensor in tensors:
        own.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        own.update(tensor.detach().cpu().contiguous().numpy().data)
    return own.hexdigest()


def _content_digest(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Hash of tensors, their names and all metadata but the hash itself."""
    about = {key: value for key, value in metadata.items() if key != "digest"}
    names = sorted(tensors)
    parts = [about, names, digest(tensors[name] for name in names)]
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _require_file(path: Path, kind: str, origin: str | None = None) -> None:
    """Raise InputError unless there is a plain file, without opening anything else."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return
        found = "neither a file nor a folder"
        if stat.S_ISDIR(mode):
            found = _instead_of_a_file(path)
    except FileNotFoundError:
        found = _instead_of_a_file(path)
    except (OSError, ValueError) as error:  # a loop of links, no permission, a name with a NUL
        found = getattr(error, "strerror", None) or str(error)
    raise InputError(
        f"cannot read the {kind}",
        where=str(path),
        found=found,
        remedy=f"give the path of the file that holds a {kind}"
        + ("" if origin is None else f"; {origin}"),
    )


def _instead_of_a_file(path: Path) -> str:
    """Say what is missing: the file, or the first of its folders; or that it is a folder."""
    if path.is_dir():
        files = sorted(entry.name for entry in path.glob("*.safetensors"))
        return f"a folder, with {', '.join(files)} in it" if files else "a folder"
    missing = path.absolute()
    while not missing.parent.exists():
        missing = missing.parent
    return "no such file" if missing == path.absolute() else f"no such folder: {missing}"


def _parsed(text: str) -> dict[str, Any]:
    """Metadata as JSON has them."""
    try:
        metadata = json.loads(text)
    except RecursionError as error:
        raise ValueError("the metadata are nested too deeply") from error
    if not isinstance(metadata, dict):
        raise ValueError("the metadata are no mapping")
    return metadata


def _check_layout(file: Any, layout: Layout, own: Metadata) -> None:
    """Compare names, types and shapes in the header with those expected."""
    there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    wrong = [f"{name} is missing" for name in sorted(layout.keys() - there.keys())]
    wrong += [f"{name} does not belong there" for name in sorted(there.keys() - layout.keys())]
    for name in sorted(layout.keys() & there.keys()):
        shape, dtype = tuple(there[name].get_shape()), there[name].get_dtype()
        expected_dtype, expected = layout[name]
        fits = len(shape) == len(expected) and all(
            length in (None, own) for own, length in zip(shape, expected, strict=True)
        )
        if not fits or DTYPES.get(dtype) != expected_dtype:
            wrong.append(f"{name} is {dtype} {shape}, not {expected_dtype} {expected}")
    require_values(wrong, "its tensors do not fit what it says about itself", own.kind, own.path)


def _short(found: object) -> str:
    """A value for a message, cut off where it is long."""
    text = found if isinstance(found, str) else repr(found)
    return text if len(text) <= 200 else f"{text[:200]} ..."


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
