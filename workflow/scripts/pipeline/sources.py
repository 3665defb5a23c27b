"""A hash of the code that a rule runs, so that editing the code makes its results stale."""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

BASES = ("", "workflow/scripts", "workflow")
"""Folders of the project in which its packages are looked for, as on the import path of a job."""


def source_hash(root: str | Path, script: str) -> str:
    """Hash the script and all modules of this project that it imports, directly or not.

    The content counts, not the modification time: touching a file or switching branches and back
    changes nothing.
    """
    root = Path(root).resolve()
    digest = blake2b(digest_size=8)
    for path in sorted(_closure(root, (root / script).resolve())):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _closure(root: Path, start: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _local_imports(root, path)
    return found


@cache
def _local_imports(root: Path, path: Path) -> list[Path]:
    files = []
    for module in _imported_modules(ast.parse(path.read_bytes())):
        files += _files_of(root, module)
    return files


@cache
def _files_of(root: Path, module: str) -> list[Path]:
    """Files of a module and of the packages it is in, as far as they are of this project."""
    parts, files = module.split("."), []
    for base in BASES:
        for length in range(1, len(parts) + 1):
            place = root.joinpath(base, *parts[:length])
            own = (place.with_suffix(".py"), place / "__init__.py")
            files += [file for file in own if file.is_file()]
    return files


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
