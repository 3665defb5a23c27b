"""What CPA is given: training cells, and targets that it can learn something about."""

from pipeline.third_party import targets_in_training, write_inputs


def main(*, train: str, test_perturbations: str, inputs: str, dropped: str) -> None:
    """Write what CPA trains on and predicts.

    An embedding that no training cell has taught says nothing: combinations with a target that no
    training perturbation has are not predicted.
    """
    known = targets_in_training(train)

    def refusal(target: str) -> str | None:
        return None if target in known else f"{target} is in no training perturbation"

    write_inputs(
        inputs,
        dropped,
        train=train,
        test_perturbations=test_perturbations,
        refusal=refusal,
        tool="CPA",
        remedy="keep perturbations of these targets in training: folds.unmeasured_singles",
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
