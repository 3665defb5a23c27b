"""Where the values of a configuration come from: its files, and the command line over them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from pipeline.config.layers import laid_over

COMMAND_LINE = "--config"


class Source(NamedTuple):
    """Files of a configuration, and what the command line has laid over them.

    Parameters
    ----------
    files
        Their names, for messages.
    given
        Values of ``--config``, by key.
    """

    files: str
    given: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.files} with {COMMAND_LINE}" if self.given else self.files

    def of(self, place: str) -> str:
        """Name what a place such as ``screen.path`` or ``folds`` was read from.

        Where the command line gives part of a section, a mistake in the section can be of both.
        """
        below: Any = self.given
        for part in place.replace("[", ".").split("."):
            if not isinstance(below, Mapping):
                break  # an item of a list that the command line gives
            if part not in below:
                return str(self) if below is not self.given else self.files
            below = below[part]
        return COMMAND_LINE if self.given else self.files

    def of_both(self, place: str) -> str:
        """Name what a place was read from that contradicts another one, which may be of either."""
        return COMMAND_LINE if self.of(place) == COMMAND_LINE else str(self)


def spelled(
    config: Mapping[str, Any], arguments: Sequence[str], model: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take texts of the command line as they were written there.

    Snakemake reads ``--config run=2024_11`` as the number 202411, and takes off all quotes before,
    so that there is no way to write it as text. A key that takes text alone has what was written.
    Below a section Snakemake has texts alone, also of ``null``, which is nothing, as in a file.

    Parameters
    ----------
    config
        The configuration with the command line laid over it by Snakemake.
    arguments
        What follows ``--config``, ``key=value`` each.
    model
        Schema of the configuration.

    Returns
    -------
    tuple of dict
        The configuration, and the part of it that the command line gives.
    """
    written: dict[str, Any] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        value = value.strip("'\"")
        read = value if value and _is_text(name, model) else _texts_and_nulls(value)
        written = laid_over(written, {name: read})  # as Snakemake does, part by part
    config, given = dict(config), {}
    for name, read in written.items():
        is_text = isinstance(read, str) and _is_text(name, model)
        config[name] = read if is_text else _with_nulls(config.get(name), read)
        given[name] = read if isinstance(read, dict) else config[name]
    return config, given


def _is_text(name: str, model: type[BaseModel]) -> bool:
    """Whether a key takes text alone."""
    field = model.model_fields.get(name)
    kinds = get_args(field.annotation) or (field.annotation,) if field is not None else ()
    return set(kinds) <= {str, type(None)} and str in kinds


def _texts_and_nulls(value: str) -> Any:
    """A value of the command line: null as nothing, all else as text, at every depth."""
    import yaml

    def read(node: yaml.Node | None) -> Any:
        if node is None or node.tag.endswith(":null"):
            return None
        if isinstance(node, yaml.MappingNode):
            return {str(key.value): read(own) for key, own in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [read(own) for own in node.value]
        return node.value

    try:
        return read(yaml.compose(value, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return value


def _with_nulls(value: Any, written: Any) -> Any:
    """A value with nothing in place of texts that were written as null."""
    if written is None:
        return None
    if isinstance(value, Mapping) and isinstance(written, Mapping):
        return {key: _with_nulls(own, written.get(key, own)) for key, own in value.items()}
    if isinstance(value, list) and isinstance(written, list):
        return [_with_nulls(*pair) for pair in zip(value, written, strict=True)]
    return value
