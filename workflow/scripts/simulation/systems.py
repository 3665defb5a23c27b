"""The kinds of simulated screens on which estimators of direct effects are judged."""

from typing import Any


def kinds() -> dict[str, dict[str, Any]]:
    """Return named settings of :func:`simulation.simulator.simulate_screen`, all but the seed.

    An estimator is judged on all of them: what wins on one kind of system can be useless on
    another. Each differs from ``modules`` or from ``cascades`` in one thing. All are of 60 genes
    and single perturbations, 120 cells each and 300 of the control, as in ``config/config.yaml``.

    - ``modules``: a CRISPRa screen of every gene; few regulators, perturbed too, act on many genes
      that share them.
    - ``modules_third``: the same genes, of which 20 were perturbed, all regulators among them: a
      screen that was aimed at known regulators.
    - ``cascades``: a screen of every gene of signalling pathways, from receptors to genes at the
      end; most responses are indirect.
    - ``cascades_third``: the same genes, of which 20 were perturbed, chosen without regard to
      what they do: a screen from a list of hits.
    - ``low_counts``: shallow sequencing, a median of about 0.4 counts per cell and gene.
    - ``failed``: a quarter of the guides does nothing, as guides without effect do in CRISPR
      screens that were not filtered for them.
    - ``dominant``: a panel in which one gene holds 40 % of all counts and responds to a target,
      as immunoglobulin or haemoglobin genes do: shares of counts change without regulation.
    - ``knockdown``: a CRISPRi screen; targets keep an eighth of their production.
    - ``confounded``: an unmeasured state of the cells, such as cell cycle or stress, drives a
      third of the genes up and down together, whatever the perturbation.
    """
    modules: dict[str, Any] = {
        "network": "modules",
        "genes": 60,
        "targets": 60,
        "doubles": 0,
        "cells_per_condition": 120,
        "control_cells": 300,
        "kind": "activation",
    }
    cascades = {**modules, "network": "cascades"}
    return {
        "modules": modules,
        "modules_third": {**modules, "targets": 20},
        "cascades": cascades,
        "cascades_third": {**cascades, "targets": 20, "targets_from": "anywhere"},
        "low_counts": {**modules, "depth": 0.15},
        "failed": {**modules, "failed_share": 0.25},
        "dominant": {**modules, "dominant_gene": 0.4},
        "knockdown": {**modules, "kind": "knockdown"},
        "confounded": {**modules, "confounding": 0.5},
    }
