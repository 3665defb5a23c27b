"""Files of a configuration, read before Snakemake does, and the command line laid over them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config

from lcd_core.errors import InputError
from pipeline.config.config import Config, load_config
from pipeline.config.read import DEFAULT, check_file, default_file
from pipeline.config.source import Source, spelled
from pipeline.plan import Plan

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def refusal(tmp_path: Path, content: str | bytes, name: str = "mine.yaml") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        check_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "remedy: " in message
    return message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("run: a\nfolds:\n\tcount: 2\n", ["line 3", r"'\tcount: 2'", "not with tabs"]),
        ("run: a\nseed 3\nfolds: {count: 2}\n", ["line 3", "not YAML"]),
        ("run: [a\n", ["line 2", "not YAML"]),
        ("run: a\n# gr\xfc\xdfe\n".encode("latin-1"), ["line 2", "UTF-8", "0xfc", "iconv"]),
        ("run: a\n".encode("utf-16"), ["line 1", "UTF-8"]),
        ("run: a\n\x07", ["not YAML"]),
        ("", ["an empty file"]),
        ("# nothing\n", ["keys with values"]),
        ("- run\n", ["keys with values", "- run"]),
        ("run: a\nseed: 1\nrun: b\n", ["given twice", "run (line 3)"]),
        ("folds:\n  count: 1\nseed: 1\nfolds:\n  count: 2\n", ["folds (line 4)"]),
        ("methods: {lcd: {drift: {steps: 1, steps: 2}}}\n", ["methods.lcd.drift.steps (line 1)"]),
        ('{"run": "a", "run": "b"}', ["given twice", "run"]),
    ],
)
def test_a_file_that_snakemake_would_refuse_or_misread_is_told_by_name_and_line(
    tmp_path: Path, content: str | bytes, parts: list[str]
) -> None:
    message = refusal(tmp_path, content)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "content",
    [
        "run: a\nfolds: {count: 2}\n",
        "\ufeffrun: a\r\nseed: 1\r\n",
        '{\n\t"run": "a", "folds": {"count": 2}\n}',
        "{run: a, seed: 1}",
        "a: &x {count: 1}\nb: {<<: *x, count: 2}\n",
        "run: Zürich\n",
    ],
)
def test_what_snakemake_reads_is_not_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    check_file(path)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"(?s)cannot be read.*remedy"):
        check_file(tmp_path / name)


def test_the_checker_ends_in_one_message_without_traceback(tmp_path: Path) -> None:
    path = tmp_path / "my file.yaml"
    command = [sys.executable, "-m", "pipeline.config.read", str(path)]
    for content, code in (("a:\n\tb: 1\n", 1), ("a: 1\n", 0)):
        path.write_text(content)
        done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS, check=False)
        assert done.returncode == code
        assert (str(path) in done.stderr) == bool(code)
        assert "Traceback" not in done.stderr


def test_the_default_run_is_that_of_the_folder_else_that_of_the_code(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_file("/code") == "/code/config/config.yaml"
    Path("config").mkdir()
    Path(DEFAULT).touch()
    assert default_file("/code") == DEFAULT


@pytest.mark.parametrize(
    ("argument", "run"),
    [
        ("run=2024_11", "2024_11"),
        ("run='2024_11'", "2024_11"),
        ('run="2024_11"', "2024_11"),
        ("run=007", "007"),
        ("run=1e3", "1e3"),
        ("run=true", "true"),
        ("run=20241101", "20241101"),
        ("run=second", "second"),
    ],
)
def test_a_text_of_the_command_line_is_taken_as_it_was_written(argument: str, run: str) -> None:
    mapping, given = spelled(parse_config([argument]), [argument], Config)
    assert given == {"run": run}
    assert load_config(mapping, Source("x", given)).run == run


def test_numbers_of_the_command_line_stay_numbers() -> None:
    arguments = ["seed=3", "folds={count: 2}", "device=cpu"]
    mapping, given = spelled(parse_config(arguments), arguments, Config)
    config = load_config(mapping, Source("x", given))
    assert (config.seed, config.folds.count, config.device) == (3, 2, "cpu")


@pytest.mark.parametrize("null", ["null", "~", "Null"])
def test_null_is_nothing_at_every_depth(null: str) -> None:
    arguments = [
        f"prediction={{methods: {null}}}",
        f"screen={{batch_column: {null}, modality: {null}}}",
        f"methods={{lcd: {null}, salt: {{run: {null}}}}}",
        f"interactions={{annotations: {null}}}",
    ]
    mapping, given = spelled(parse_config(arguments), arguments, Config)
    config = load_config(mapping, Source("x", given))
    assert (config.prediction.methods, config.screen.batch_column) == (None, None)
    assert (config.methods.salt.run, config.interactions.annotations) == (None, None)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("prediction={methods: null}", "prediction={methods: [salt, lcd]}", ["salt", "lcd"]),
        ("screen={path: null}", "screen={path: a.h5ad}", "a.h5ad"),
        ("screen={path: a.h5ad}", "screen={path: null}", None),
        ("methods={lcd: {drift: {steps: null}}}", "methods={lcd: {drift: {steps: 10}}}", "10"),
        ("methods={lcd: null}", "methods={lcd: {drift: {steps: 10}}}", "10"),
        ("methods={lcd: {drift: {steps: 10}}}", "methods=null", None),
        ("device=null", "device=cpu", "cpu"),
        ("device=cpu", "device=null", None),
        ("run=", "run=2024_11", "2024_11"),
        ("run=2024_11", "run=", None),
    ],
)
def test_the_last_of_two_arguments_counts(first: str, second: str, found: Any) -> None:
    mapping, given = spelled(parse_config([first, second]), [first, second], Config)
    assert given == mapping
    while isinstance(mapping, dict):
        (mapping,) = mapping.values()
    assert mapping == found


def test_two_arguments_give_one_section_together() -> None:
    arguments = ["screen={path: null, kind: file}", "screen={batch_column: null}"]
    mapping, given = spelled(parse_config(arguments), arguments, Config)
    assert mapping == given == {"screen": {"path": None, "kind": "file", "batch_column": None}}
    assert Source("x", given).of("screen.kind") == "--config"


def test_null_is_nothing_within_lists() -> None:
    arguments = ["methods={lcd: {grid: {sampling.steps_per_level: [null, 10]}}}"]
    mapping, _ = spelled(parse_config(arguments), arguments, Config)
    assert mapping["methods"]["lcd"]["grid"] == {"sampling.steps_per_level": [None, "10"]}


def test_only_null_is_read_among_texts() -> None:
    arguments = ["methods={no: {predictions: a.h5ad, label: null}, lcd: {drift: {steps: 10}}}"]
    mapping, _ = spelled(parse_config(arguments), arguments, Config)
    assert mapping["methods"]["no"] == {"predictions": "a.h5ad", "label": None}
    assert mapping["methods"]["lcd"] == {"drift": {"steps": "10"}}


FILE: dict[str, Any] = {"run": "mine", "screen": {"kind": "file", "path": "a.h5ad"}}


@pytest.mark.parametrize(
    ("file", "arguments", "place"),
    [
        ({}, ["sed=3"], "--config, sed:"),
        ({}, ["run="], "--config, run:"),
        ({}, ["folds={count: x}"], "--config, folds.count:"),
        ({}, ["genes={count: [1]}"], "--config, genes.count:"),
        ({"seed": "x"}, ["run=a"], "mine.yaml, seed:"),
        ({"seed": "x"}, [], "mine.yaml, seed:"),
        (
            {"folds": {"count": "x"}},
            ["folds={tuning_doubles: 0}"],
            "mine.yaml with --config, folds",
        ),
        ({}, ["screen={kind: file}"], "mine.yaml with --config, screen.path:"),
        ({"folds": {"count": 0}}, ["analyses=[benchmark]"], "mine.yaml with --config, folds.count"),
        ({}, ["prediction={methods: [salt]}"], "mine.yaml with --config, evaluation.reference:"),
        ({}, ["evaluation={reference: nobody}"], "--config, evaluation.reference:"),
        (
            {},
            ["methods={lcd: {variants: {wide: {drift: {hiden: 3}}}}}"],
            "--config, methods.lcd.variants.wide.drift.hiden:",
        ),
    ],
)
def test_a_mistake_is_blamed_on_what_it_was_read_from(
    file: dict[str, Any], arguments: list[str], place: str
) -> None:
    overlaid = dict(file)
    for key, value in parse_config(arguments).items():
        both = isinstance(value, dict) and isinstance(file.get(key), dict)
        overlaid[key] = {**file[key], **value} if both else value
    mapping, given = spelled(overlaid, arguments, Config)
    source = Source("mine.yaml", given)
    with pytest.raises(InputError) as caught:
        Plan(load_config(mapping, source), source)
    assert str(caught.value).startswith(place), caught.value
    assert "quote a number" not in str(caught.value)
