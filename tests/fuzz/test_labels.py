"""Labels of perturbations: what stands for a set of targets, and what is refused."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.screen import CONTROL, SEPARATOR, canonical_name, targets_of
from screen.import_screen import canonical_names
from tests.fuzz.harness import cases, outcome, texts

names = st.sampled_from(["A", "B", "C", "control", "NT", "HLA-A", "RP11.2", "2i (LIF)"]) | texts
separators = st.sampled_from(["+", "_", ";", " & ", "++", "|", ".", "(", "A"]) | texts.filter(bool)


@st.composite
def labels(draw):
    """Labels joined of names by one of the separators, or any text."""
    own = draw(st.lists(separators, min_size=1, max_size=3, unique=True))
    joined = st.tuples(st.sampled_from(own), st.lists(names, min_size=1, max_size=4))
    found = draw(st.lists(joined.map(lambda pair: pair[0].join(pair[1])) | names, max_size=8))
    return own, ["control", *found] if draw(st.booleans()) else found


@cases(150)
@given(
    labels(),
    st.sampled_from(["control", "NT", "A", "ctrl"]),
    st.lists(st.sampled_from(["NT", "B", "", "nan", "ctrl"]), max_size=2),
    st.lists(names, max_size=5),
)
@example((["+"], ["control", "A", "A+B", "B+A"]), "control", [], ["A"])
def test_labels_stand_for_sets_of_targets_or_are_refused(drawn, control, ignored, genes):
    own, given_labels = drawn
    found = {}

    def call():
        found.update(canonical_names(given_labels, control, own, ignored, genes, "file, obs"))

    if outcome(call) is not None:
        return
    assert found.keys() == set(given_labels)
    assert found[control] == CONTROL
    assert len(set(found.values())) > 1
    no_target = {control, *ignored}
    pattern = "|".join(re.escape(text) for text in sorted(own, key=len, reverse=True))
    for label, name in found.items():
        targets = targets_of(name)
        assert canonical_name(targets) == name, "names are canonical"
        if label != control:
            tokens = [token for token in re.split(pattern, label) if token not in no_target]
            assert sorted(tokens) == list(targets), "no target is lost or made up"
        for target in targets:
            assert target == target.strip()
            assert target
            assert SEPARATOR not in target
            assert not re.search(r"[\t\n\r]", target), "tables have a row a line"
