"""Draw a linear system with known causal effects."""

from pipeline.linear_systems import write_system
from simulation.linear_systems import random_linear_system


def main(
    *,
    system: str,
    structure: str,
    genes: int,
    percent: int,
    number: int,
    links_per_gene: int,
    strength: float,
    flip_probability: float,
    sigma: float,
    samples_per_condition: int,
    seed: int,
    sample_seed: int,
) -> None:
    """Write a random system.

    Parameters
    ----------
    system
        ``system.safetensors``: A, b, targets and shifts.
    structure, links_per_gene, strength, flip_probability, sigma
        See :func:`simulation.linear_systems.random_linear_system`.
    percent
        Share of the genes that are perturbed, one by one. Systems of one seed differ in this
        alone.
    number
        Which of the random systems of this kind it is, for the tables.
    samples_per_condition, sample_seed
        How its samples are to be drawn.
    """
    drawn = random_linear_system(
        genes,
        round(genes * percent / 100),
        structure,
        seed,
        links_per_gene=links_per_gene,
        strength=strength,
        flip_probability=flip_probability,
        sigma=sigma,
    )
    description = {
        "structure": structure,
        "genes": genes,
        "percent": percent,
        "system": number,
        "seed": seed,
        "samples_per_condition": samples_per_condition,
        "sample_seed": sample_seed,
    }
    write_system(drawn, system, description)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
