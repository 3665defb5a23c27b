"""Random streams: equal names give equal ones, and those of a whole fit are all different."""

import numpy as np
import torch

from lcd_core.fit import fit
from lcd_core.streams import numpy_stream, stream
from tests.unit.test_fit import GENES, SMALL


def test_equal_names_give_equal_streams_and_others_do_not():
    names = [(1,), (1, "a"), (1, "b"), (1, "a", "b"), (1, "ab"), (2, "a"), (12,), (1, 2)]
    ours = {tuple(torch.rand(4, generator=stream(*name)).tolist()) for name in names}
    numpys = {tuple(numpy_stream(*name).random(4)) for name in names}
    assert len(ours) == len(numpys) == len(names)
    for name in names:
        assert tuple(torch.rand(4, generator=stream(*name)).tolist()) in ours
        assert tuple(numpy_stream(*name).random(4)) in numpys


def test_streams_are_the_same_on_every_machine():
    assert torch.randint(1000, (3,), generator=stream(7, "x")).tolist() == [733, 315, 443]
    assert numpy_stream(7, "x").integers(1000, size=3).tolist() == [74, 392, 227]


def test_no_two_streams_of_a_fit_and_its_samples_share_a_state(monkeypatch):
    made = []
    generator = torch.Generator

    class Recorded:
        def __call__(self, *arguments, **keywords):
            made.append(generator(*arguments, **keywords))
            return made[-1]

        def __or__(self, other):  # in annotations of torch that are read now
            return generator | other

    rng = np.random.default_rng(0)
    counts = {name: rng.poisson(4.0, (15, 4)) for name in ("control", "A", "B", "A+B")}
    monkeypatch.setattr(torch, "Generator", Recorded())
    model = fit(counts, GENES, settings=SMALL, seed=3)
    model.sample(["A"], 3, seed=3)
    monkeypatch.undo()
    # three of the prior, one per condition for its states, three of the drift, two of the sample
    assert len(made) == 12
    # a generator on a CPU takes the low 32 bits of its seed
    assert len({own.initial_seed() & 0xFFFFFFFF for own in made}) == len(made)
    ends = {own.get_state().numpy().tobytes() for own in made}
    assert len(ends) == len(made)
