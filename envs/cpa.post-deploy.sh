#!/usr/bin/env bash
# Snakemake runs this in the new environment: cpa-tools declares versions that it does not need.
set -euo pipefail
python -m pip install --no-deps cpa-tools==0.8.1
