"""The interpolated duplicate (Miller et al. 2025), a reference by which metrics are calibrated."""

from methods.ceiling.predict import write_held_out


def main(*, train: str, test: str, test_perturbations: str, prediction: str, keep: str) -> None:
    """Write the held-out cells, to be drawn to the mean of training perturbations.

    The evaluation draws them, half by half: how far each gene is drawn depends on the half that
    is the prediction, and must not on the half that it is compared with. See
    :func:`benchmark.compute_metrics.drawn_to_mean`.
    """
    write_held_out(train, test, test_perturbations, prediction, keep, drawn_to_mean=True)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
