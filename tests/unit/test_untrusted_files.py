"""Files from elsewhere: models, priors and checkpoints that are crafted, damaged or mismatched.

Every one is refused with the project's own message, and none makes the process allocate what it
merely declares. Nothing that these files hold is executed: the format has numbers and JSON alone.
"""

import ast
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from lcd_core import files
from lcd_core.checkpoints import Checkpoints, TrainingStopped
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.files import HEADER, load_tensors, save_tensors
from lcd_core.model import LCD
from lcd_core.prior import GeneratorLayout, ImplicitPriors, parameters_of_generator
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings
from lcd_core.states import StateTransform
from lcd_core.training import train
from tests.unit.test_checkpoints import TRAININGS, StopAt, assert_same

HUGE = 10**9
ROOT = Path(__file__).parents[2]


def write_model(path: Path) -> None:
    drift = Drift(4, 3, DriftSettings(hidden=6, embedding_dimensions=3, noise_levels=3))
    drift.reset(torch.Generator().manual_seed(0))
    parts = torch.zeros(4), torch.ones(4), torch.full((4,), 2.0), torch.full((4,), 4.0)
    transform = StateTransform(StateSettings(), *parts)
    pi = torch.full((4,), 0.1)
    LCD(list("wxyz"), ["A", "B", "C"], drift, transform, pi, seed=5).save(path)


def write_priors(path: Path) -> None:
    small = PriorSettings(latent_dimensions=2, hidden=3, output_hidden=3, blocks=1, output_blocks=1)
    layout = GeneratorLayout(small, 4)
    flat = layout.initial(2, torch.Generator().manual_seed(0))
    names = ["control", "A"]
    ImplicitPriors(
        names, list("wxyz"), small, flat, torch.zeros(4), torch.ones(4), seed=3
    ).save(path)  # fmt: skip


WRITE = {LCD: write_model, ImplicitPriors: write_priors}
KINDS = {LCD: "fitted model", ImplicitPriors: "fitted prior"}


@pytest.fixture(params=[LCD, ImplicitPriors], ids=["model", "priors"])
def kind(request):
    return request.param


@pytest.fixture
def path(kind, tmp_path):
    WRITE[kind](tmp_path / "file.safetensors")
    return tmp_path / "file.safetensors"


def refused(kind: type, path: Path) -> str:
    """The message about a file; it names the file and says what to do."""
    with pytest.raises(InputError) as caught:
        kind.load(path)
    assert str(path) in str(caught.value.where)
    assert caught.value.remedy
    assert len(str(caught.value)) < 3000, "a crafted file does not flood the log"
    return str(caught.value)


def parts(path: Path) -> tuple[dict[str, object], bytes]:
    """Header and tensors of a file, as it lies on the disk."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(path: Path, header: object, data: bytes, length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def resave(kind: type, path: Path, *, tensors=None, metadata=None, dropped=()) -> None:
    """Save a file again with changes; its digest is right, as a forger would have it."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()[HEADER])
        own = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = {k: v for k, v in about.items() if k not in ("kind", "format", "version", "digest")}
    about = {k: v for k, v in (about | (metadata or {})).items() if k not in dropped}
    own = {k: v for k, v in (own | (tensors or {})).items() if k not in dropped}
    save_tensors(path, KINDS[kind], own, about)


# --- what is no file of this kind -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "neither a file nor a folder"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "neither a file nor a folder"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
        (lambda path: path.touch(), "(?i)header"),
        (lambda path: path.write_text("a,b\n1,2\n"), "(?i)header"),
    ],
    ids=["folder", "fifo", "loop", "device", "broken link", "empty", "text"],
)
def test_not_a_file_of_tensors(kind, tmp_path, make, words):
    path = tmp_path / "odd"
    make(path)
    assert re.search(words, refused(kind, path))


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_name_that_no_file_can_have(kind, name):
    with pytest.raises(InputError, match="cannot read the"):
        kind.load(name)


@pytest.mark.parametrize("length", [0, 1, 7, 10**6, 2**32, 2**63, 2**64 - 1])
def test_the_length_of_the_header_lies(kind, path, length):
    put_together(path, *parts(path), length=length)
    refused(kind, path)


@pytest.mark.parametrize(
    "header",
    [b"", b"not JSON", b"[]", b"null", b"{", b'{"a": 1}', b"\xff" * 40, b"[" * 100_000,
     b'{"a": ' * 50_000, b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
     b'{"a": {"dtype": "F32", "shape": [1e3], "data_offsets": [0, 4]}}',
     b'{"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}}'],
)  # fmt: skip
def test_a_header_that_is_none(kind, path, header):
    put_together(path, header, parts(path)[1])
    refused(kind, path)


@pytest.mark.parametrize("shape", [[HUGE], [HUGE, HUGE], [2**62, 2**62], [2**40], [-4]])
def test_a_tensor_declares_more_than_there_is(kind, path, shape):
    header, data = parts(path)
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = shape
    put_together(path, header, data)
    refused(kind, path)


def test_a_tensor_without_values_declares_a_huge_length(kind, path):
    resave(kind, path, tensors={"more": torch.zeros(0, HUGE)})
    assert "more does not belong there" in refused(kind, path)
    resave(kind, path, dropped=["more"], tensors={parameter_of(kind): torch.zeros(HUGE, 0)})
    assert f"{parameter_of(kind)} is F32 ({HUGE}, 0), not" in refused(kind, path)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", '"text"', "{", "[" * 100_000, '{"kind":' * 5_000, "NaN",
     '{"kind": [], "format": 3}', '{"kind": "fitted model", "format": true}', "9" * 10_000],
)  # fmt: skip
def test_metadata_that_are_none(kind, path, text):
    header, data = parts(path)
    header["__metadata__"] = {HEADER: text}
    put_together(path, header, data)
    refused(kind, path)


def test_metadata_that_are_no_text(kind, path):
    for value in (3, None, {"a": "b"}, ["x"]):
        header, data = parts(path)
        header["__metadata__"] = {HEADER: value}
        put_together(path, header, data)
        refused(kind, path)


def test_another_kind_and_another_format(kind, path, tmp_path, monkeypatch):
    other = ImplicitPriors if kind is LCD else LCD
    assert f"holds no {KINDS[other]}" in refused(other, path)
    monkeypatch.setattr(files, "FORMAT", 2)
    resave(kind, path)
    monkeypatch.undo()
    assert f"has another format than {files.FORMAT}" in refused(kind, path)


# --- what does not agree with itself --------------------------------------------------------------


def parameter_of(kind: type) -> str:
    return "drift.input.weight" if kind is LCD else "parameters"


def section_of(kind: type) -> tuple[str, ...]:
    return ("settings", "drift") if kind is LCD else ("settings",)


def changed_settings(kind: type, path: Path, **changes: object) -> dict[str, object]:
    _, metadata = load_tensors(path, KINDS[kind])
    own = metadata["settings"]
    return {"settings": {**own, "drift": own["drift"] | changes} if kind is LCD else own | changes}


SIZES = {
    "hidden",
    "blocks",
    "output_blocks",
    "latent_dimensions",
    "output_hidden",
    "embedding_dimensions",
    "time_dimensions",
    "noise_levels",
}


@pytest.mark.parametrize("value", [HUGE, 10**18, 10**30, 10**400])
def test_settings_of_an_absurd_size(kind, path, value):
    _, metadata = load_tensors(path, KINDS[kind])
    own = metadata["settings"]["drift"] if kind is LCD else metadata["settings"]
    sizes = sorted(name for name in own if name in SIZES)
    assert len(sizes) >= 4
    for name in sizes:
        WRITE[kind](path)
        resave(kind, path, metadata=changed_settings(kind, path, **{name: value}))
        refused(kind, path)


@pytest.mark.parametrize(
    "value", [-1, 0, 2.5, True, None, "64", [64], {}, float("nan"), -(10**400)]
)
def test_settings_that_no_fit_has(kind, path, value):
    resave(kind, path, metadata=changed_settings(kind, path, hidden=value))
    assert "hidden" in refused(kind, path)


def test_settings_of_another_version(kind, path):
    resave(kind, path, metadata=changed_settings(kind, path, new=1))
    assert "the settings" in refused(kind, path)
    WRITE[kind](path)
    changed = changed_settings(kind, path)
    section = changed["settings"]["drift"] if kind is LCD else changed["settings"]
    del section["hidden"]
    resave(kind, path, metadata=changed)
    assert "are expected" in refused(kind, path)
    for value in (None, 3, [], "settings"):
        resave(kind, path, metadata={"settings": value})
        assert "are expected" in refused(kind, path)


def test_every_key_of_the_metadata_is_needed(kind, path):
    _, metadata = load_tensors(path, KINDS[kind])
    optional = {"seed"} if kind is LCD else set()  # a model put together by hand has none
    for key in metadata.keys() - {"kind", "format", "version", "digest"} - optional:
        WRITE[kind](path)
        resave(kind, path, dropped=[key])
        assert key in refused(kind, path)


@pytest.mark.parametrize(
    "value", [None, 4, "wxyz", [], ["w"] * 4, ["w", "x", "y", 1], ["w", "x", "y", ""], [["w"]],
              {"w": 1}, list("vwxyz"), ["w", "x", "y"]],
)  # fmt: skip
def test_names_of_genes_that_do_not_fit(kind, path, value):
    resave(kind, path, metadata={"genes": value})
    refused(kind, path)


def test_targets_that_do_not_fit(path, kind):
    if kind is LCD:
        resave(kind, path, metadata={"trained_targets": ["A", "Q"]})
        assert "Q" in refused(kind, path)
        resave(kind, path, metadata={"trained_targets": ["A"], "targets": ["A"]})
        assert "drift.embedding is F32 (3, 3), not torch.float32 (1, 3)" in refused(kind, path)
    else:
        resave(kind, path, metadata={"names": ["control"]})
        assert "parameters is F32" in refused(kind, path)


@pytest.mark.parametrize("seed", ["1", 1.5, True, [1]])
def test_a_seed_that_is_none(kind, path, seed):
    resave(kind, path, metadata={"seed": seed})
    assert "a seed is an integer" in refused(kind, path)


def test_every_tensor_is_needed_and_has_its_type_shape_and_values(kind, path):
    tensors, _ = load_tensors(path, KINDS[kind])
    assert len(tensors) > 2
    for name, value in tensors.items():
        for change, words in (
            ({"dropped": [name]}, f"{name} is missing"),
            ({"tensors": {name: value.to(torch.float16)}}, f"{name} is F16"),
            ({"tensors": {name: value.to(torch.int32)}}, f"{name} is I32"),
            ({"tensors": {name: value[..., :-1].clone()}}, f"{name} is F"),
            ({"tensors": {name: value[None].clone()}}, f"{name} is F"),
            ({"tensors": {name: torch.full_like(value, np.nan)}}, f"{name}: {value.numel()} v"),
            ({"tensors": {name: torch.full_like(value, np.inf)}}, "not finite"),
        ):
            WRITE[kind](path)
            resave(kind, path, **change)
            assert words in refused(kind, path)


def test_values_that_no_fit_gives(kind, path):
    changes = {
        LCD: {
            "pi": torch.full((4,), 1.5),
            "transform.scale": torch.tensor([1.0, 0.0, 1.0, 1.0]),
            "transform.eta": torch.full((4,), -1.0),
            "drift.alphas": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        },
        ImplicitPriors: {"eta": torch.zeros(4)},
    }[kind]
    for name, value in changes.items():
        WRITE[kind](path)
        resave(kind, path, tensors={name: value})
        assert name.removeprefix("drift.") in refused(kind, path)


# --- damage ---------------------------------------------------------------------------------------


def content_of(kind: type, path: Path) -> tuple[object, ...]:
    tensors, metadata = load_tensors(path, KINDS[kind])
    kind.load(path)
    return metadata, {name: (t.dtype, t.numpy().tobytes()) for name, t in tensors.items()}


DAMAGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
        st.tuples(st.just("put"), st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True), st.just(0)),
        st.tuples(st.just("add"), st.just(0.0), st.integers(1, 40)),
        st.tuples(st.just("swap"), st.floats(0, 1, exclude_max=True), st.integers(1, 64)),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, damages: list[tuple[str, float, int]]) -> bytes:
    own = bytearray(content)
    for kind, share, value in damages:
        at = int(share * len(own))
        if kind == "flip" and own:
            own[at] ^= 1 << value
        elif kind == "put" and own:
            own[at] = value
        elif kind == "cut":
            del own[at:]
        elif kind == "add":
            own += bytes(value)
        elif kind == "swap":
            own[at : at + 2 * value] = own[at + value : at + 2 * value] + own[at : at + value]
    return bytes(own)


@settings(
    max_examples=1500 if os.environ.get("LCD_FUZZ") == "nightly" else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@example([("flip", 0.999, 0)])  # in the last weight
@example([("flip", 0.3, 5)])
@given(damages=DAMAGES)
def test_a_damaged_file_is_refused_or_the_same(kind, path, damages):
    WRITE[kind](path)
    before, content = content_of(kind, path), path.read_bytes()
    path.write_bytes(damaged(content, damages))
    try:
        after = content_of(kind, path)
    except InputError as error:
        after, message = None, error
    if after is None:
        assert str(path) in str(message)
        assert message.remedy
    else:
        assert after == before


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3),
    st.integers(1, 9),
)  # fmt: skip
def test_parameters_are_counted_without_a_layout(latent, hidden, output_hidden, b, o, genes):
    own = PriorSettings(
        latent_dimensions=latent, hidden=hidden, output_hidden=output_hidden, blocks=b,
        output_blocks=o,
    )  # fmt: skip
    assert parameters_of_generator(own, genes) == GeneratorLayout(own, genes).total


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.fixture(params=list(TRAININGS))
def half_done(request, tmp_path):
    """A training and the checkpoint of its first 20 steps."""
    path = tmp_path / ".fit.checkpoint"
    with pytest.raises(TrainingStopped):
        train(TRAININGS[request.param](), StopAt(path, 20, code="a"))
    return TRAININGS[request.param], path


@pytest.mark.parametrize("place", [0.2, 0.6, 0.99999])
def test_a_damaged_checkpoint_is_said_to_be_so_and_the_fit_begins_again(half_done, caplog, place):
    make, path = half_done
    path.write_bytes(damaged(path.read_bytes(), [("flip", place, 3)]))
    expected = train(reference := make())
    log = train(training := make(), Checkpoints(path, code="a"))
    assert_same(log, training, expected, reference)
    (message,) = (own for own in caplog.messages if "is not used" in own)
    assert str(path) in message
    assert "training begins at its first step" in message


def forge(path: Path, **changes: torch.Tensor | None) -> None:
    """Save a checkpoint with other tensors (names with ``__`` for dots), and the right digest."""
    tensors, metadata = load_tensors(path, "checkpoint")
    tensors |= {name.replace("__", "."): value for name, value in changes.items()}
    tensors = {name: value.clone() for name, value in tensors.items() if value is not None}
    save_tensors(path, "checkpoint", tensors, {"fingerprint": metadata["fingerprint"]})


@pytest.mark.parametrize(
    "changes",
    [
        {"training__done": None},
        {"training__done": torch.zeros(2, dtype=torch.int64)},
        {"training__done": torch.tensor(20.0)},
        {"training__noise": torch.zeros(3, dtype=torch.uint8)},
        {"log__rows": torch.zeros(HUGE, 0, dtype=torch.float64)},
        {"log__rows": torch.zeros(2, 5, dtype=torch.float64)},
        {"log__seconds": torch.zeros(1, dtype=torch.float64)},
        {"training__optimizer__999__step": torch.zeros(())},
        {"more": torch.zeros(1)},
    ],
)
def test_a_checkpoint_with_other_tensors_is_not_used(half_done, caplog, changes):
    make, path = half_done
    forge(path, **changes)
    expected = train(reference := make())
    assert_same(
        train(training := make(), Checkpoints(path, code="a")), training, expected, reference
    )
    assert sum("is not used" in own for own in caplog.messages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"training__done": torch.tensor(-1)},
        {"training__done": torch.tensor(0)},
        {"training__done": torch.tensor(48)},
        {"log__window": 1000},
        {"log__window": 5},
        {"log__rows": 0},
        {"log__rows": 10_000},
    ],
)
def test_a_checkpoint_in_an_impossible_state_is_refused(half_done, changes):
    make, path = half_done
    for name, length in changes.items():
        if isinstance(length, int):
            tensors, _ = load_tensors(path, "checkpoint")
            width = tensors[name.replace("__", ".")].shape[1]
            changes = {name: torch.zeros(length, width, dtype=torch.float64)}
    forge(path, **changes)
    with pytest.raises(InputError, match="delete the file") as caught:
        train(make(), Checkpoints(path, code="a"))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("fingerprint", [None, [], "x", {"seed": 1}])
def test_a_checkpoint_without_a_fingerprint_is_not_used(half_done, caplog, fingerprint):
    make, path = half_done
    tensors, _ = load_tensors(path, "checkpoint")
    save_tensors(path, "checkpoint", tensors, {"fingerprint": fingerprint})
    train(make(), Checkpoints(path, code="a"))
    assert "is not used: it is of a training with other" in caplog.text


def test_what_is_no_file_is_no_checkpoint(tmp_path, caplog):
    path = tmp_path / ".fit.checkpoint"
    os.mkfifo(path)
    train(TRAININGS["drift"](steps=12), Checkpoints(path))  # and does not wait for a writer
    assert "neither a file nor a folder" in caplog.text
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="a folder stands where checkpoints are saved"):
        train(TRAININGS["drift"](steps=12), Checkpoints(path))


# --- nothing that executes what it reads ----------------------------------------------------------

ALLOWED = {
    # GEARS reads its gene ontology from pickles; ours writes them into a folder of that job alone
    ("workflow/methods/gears/tool.py", "pickle"): {"dump"},
}
EXECUTES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "_pickle"}


def sources() -> list[Path]:
    places = ("lcd_core", "workflow", "benchmarks", "slurm")
    return [path for place in places for path in sorted((ROOT / place).rglob("*.py"))]


def dangerous(tree: ast.AST, name: str) -> list[str]:
    """Calls by which what a file holds could be executed, and modules that offer them."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [own.name for own in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else modules
            found += [m for m in modules if m in EXECUTES and (name, m) not in ALLOWED]
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        given = {own.arg: own.value for own in node.keywords}
        owner, _, function = call.rpartition(".")
        if call in ("eval", "exec", "compile", "os.system", "os.popen", "__import__"):
            found.append(call)
        if owner in ("torch", "joblib") and function == "load":
            found.append(call)
        loader = ast.unparse(given["Loader"]) if "Loader" in given else ""
        plain = loader in ("yaml.BaseLoader", "yaml.SafeLoader")
        if owner == "yaml" and function in ("load", "load_all", "unsafe_load", "full_load"):
            found += [] if plain else [call]
        if owner in EXECUTES and function not in ALLOWED.get((name, owner), set()):
            found.append(call)
        for argument in ("allow_pickle", "shell"):
            value = given.get(argument)
            if value is not None and not (isinstance(value, ast.Constant) and not value.value):
                found.append(f"{call}({argument}=...)")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_executes_what_a_file_holds(path):
    name = str(path.relative_to(ROOT))
    assert dangerous(ast.parse(path.read_text(encoding="utf-8")), name) == []


def test_which_would_be_noticed():
    text = (
        "import pickle\nfrom dill import loads\npickle.load(f)\ntorch.load(p)\neval(x)\n"
        "np.load(p, allow_pickle=True)\nyaml.load(t)\nyaml.load(t, Loader=yaml.Loader)\n"
        "subprocess.run(c, shell=True)\n"
        "network.eval()\nnp.load(p, allow_pickle=False)\nyaml.safe_load(t)\n"
        "yaml.load(t, Loader=yaml.BaseLoader)\n"
    )
    found = dangerous(ast.parse(text), "some.py")
    assert found == [
        "pickle", "dill", "pickle.load", "torch.load", "eval", "np.load(allow_pickle=...)",
        "yaml.load", "yaml.load", "subprocess.run(shell=...)",
    ]  # fmt: skip
