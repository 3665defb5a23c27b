"""What the configuration and the scripts of predictions share: names, and no imports."""

FLOW = "flow"
"""The sampler that is no preset of the annealed one."""


def combination(text: str) -> tuple[str, ...]:
    """Targets of a combination as a user writes it, `B+A`: sorted.

    Raises
    ------
    ValueError
        If it is no set of two targets or more; the message says why.
    """
    targets = [target.strip() for target in text.split("+")]
    if "" in targets:
        raise ValueError("a target has no name")
    repeated = sorted({target for target in targets if targets.count(target) > 1})
    if repeated:
        raise ValueError(f"{repeated[0]} is named twice")
    if "control" in targets:
        raise ValueError("the control is no target")
    if len(targets) < 2:
        raise ValueError("one target alone; singles are predicted along with any combination")
    return tuple(sorted(targets))
