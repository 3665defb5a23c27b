"""Turn what CPA predicts into a prediction."""

from pipeline.settings import read_settings
from pipeline.third_party import write_prediction


def main(
    *,
    train: str,
    test_perturbations: str,
    dropped: str,
    outputs: str,
    settings: str,
    prediction: str,
    n_cells: int,
    keep: str,
    seed: int,
) -> None:
    """See :func:`pipeline.third_party.write_prediction`."""
    write_prediction(
        prediction,
        outputs=outputs,
        dropped=dropped,
        train=train,
        test_perturbations=test_perturbations,
        cells=read_settings(settings)["cells"],
        n_cells=n_cells,
        keep=keep,
        seed=seed,
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
