"""The file of a configuration: read before Snakemake does, whose messages do not name it.

``python -m pipeline.config.read FILE ...`` checks files that are yet to be handed to Snakemake.
"""

import json
import sys
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from lcd_core.errors import InputError

DEFAULT = "config/config.yaml"
"""The default run, relative to the working directory or, where it is not there, to the code."""


def default_file(root: str | Path) -> str:
    """The configuration that is read where none is named: of this folder, else of the code's."""
    return DEFAULT if Path(DEFAULT).exists() else str(Path(root) / DEFAULT)


def check_file(path: str | Path) -> None:
    """Check that a file can be read as a configuration; what its keys mean is checked elsewhere.

    Raises
    ------
    InputError
        If it is missing, is no UTF-8 text, no YAML and no JSON, has no keys, or one of them twice.
    """
    text = _text(path)
    if text.lstrip("\ufeff \t\r\n").startswith("{"):  # JSON, in which tabs are allowed
        try:
            json.loads(text.lstrip("\ufeff"), object_pairs_hook=_distinct)
            return
        except _RepeatedKeys as error:
            raise _repeated([str(key) for key in error.args], str(path)) from None
        except ValueError:
            pass  # {a: b} is YAML
    try:
        tree = yaml.compose(text)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text, str(path)) from None
    except yaml.YAMLError as error:  # a character that no YAML file may contain
        raise InputError(
            "the file is not YAML",
            where=str(path),
            found=" ".join(str(error).split()),
            remedy="save it as plain text in UTF-8",
        ) from None
    if not isinstance(tree, yaml.MappingNode):
        raise InputError(
            "a configuration has keys with values",
            where=str(path),
            found="an empty file" if tree is None else text.strip().split("\n")[0][:80],
            remedy="write lines such as `run: default`",
        )
    repeated = list(_repeated_keys(tree))
    if repeated:
        raise _repeated([f"{key} (line {line})" for key, line in repeated], str(path))


def _text(path: str | Path) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            "this file of a configuration cannot be read",
            where=str(path),
            found=error.strerror,
            remedy="correct the path, relative to the working directory; targets such as `all` "
            "stand before --configfile",
        ) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            "the file is not text in UTF-8",
            where=f"{path}, line {line}",
            found=f"byte 0x{content[error.start]:02x}",
            remedy="save it as UTF-8 in the editor, or, if it is Latin-1, with "
            "`iconv -f latin1 -t utf-8 OLD > NEW`",
        ) from None


def _not_yaml(error: yaml.MarkedYAMLError, text: str, path: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    lines = text.split("\n")
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    return InputError(
        f"the file is not YAML: {error.problem or error.context}",
        where=path if mark is None else f"{path}, line {mark.line + 1}",
        found=repr(line.rstrip("\r")) if line else "the end of the file",
        remedy="indent with blanks, not with tabs"
        if "\t" in line
        else "write `key: value`, the keys of a section indented alike; a text with special "
        "characters needs quotes",
    )


def _repeated(found: Iterable[str], path: str) -> InputError:
    return InputError(
        "keys are given twice, of which one would be ignored",
        where=path,
        found=found,
        remedy="put what belongs to one key, or one section, together",
    )


def _repeated_keys(node: yaml.Node, place: str = "") -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping, with the line of the second."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item, place)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        name = f"{place}{key.value}"
        if name in seen:
            yield name, key.start_mark.line + 1
        seen.add(name)
        yield from _repeated_keys(value, f"{name}.")


class _RepeatedKeys(Exception):
    pass


def _distinct(pairs: list[tuple[Hashable, Any]]) -> dict[Hashable, Any]:
    keys = [key for key, _ in pairs]
    repeated = {key for key in keys if keys.count(key) > 1}
    if repeated:
        raise _RepeatedKeys(*sorted(map(str, repeated)))
    return dict(pairs)


if __name__ == "__main__":
    try:
        for file in sys.argv[1:]:
            check_file(file)
    except InputError as mistake:
        sys.exit(str(mistake))
