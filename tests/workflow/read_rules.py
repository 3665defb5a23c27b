"""Print all rules of the project as JSON; a program of its own, since Snakemake changes globals.

``python read_rules.py [configuration]``, in a folder with the Snakefile.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings


def described(rule: Any) -> dict[str, Any]:
    """What the tests ask of a rule, as plain values."""
    script = rule.script and rule.script.format(params=SimpleNamespace(**dict(rule.params.items())))
    return {
        "name": rule.name,
        "script": script and str((Path(str(rule.basedir)) / script).resolve()),
        "inputs": list(rule.input._names),
        "outputs": {name: str(rule.output[name]) for name, _ in rule.output._get_names()},
        "unnamed": len(rule.input)
        + len(rule.output)
        + len(rule.params)
        - sum(counted(items) for items in (rule.input, rule.output, rule.params)),
        "params": list(rule.params._names),
        "source": dict(rule.params.items()).get("source"),
        "environment": rule.conda_env
        and str((Path(str(rule.basedir)) / str(rule.conda_env)).resolve()),
        "log": len(rule.log),
        "reports": [report(file) for file in rule.output if "report" in file.flags],
    }


def counted(items: Any) -> int:
    """How many items have a name."""
    return sum((start + 1 if end is None else end) - start for start, end in items._names.values())


def report(file: Any) -> dict[str, Any]:
    """What the report shows of an output."""
    about = file.flags["report"]
    return {
        "file": str(file),
        "caption": str(about.caption.get_path_or_uri(secret_free=True)),
        "category": str(about.category),
        "labels": about.labels,
    }


if __name__ == "__main__":
    with SnakemakeApi(OutputSettings()) as api:
        found = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(name) for name in sys.argv[1:]]),
            snakefile=Path("Snakefile"),
        )
        rules = [described(rule) for rule in found._workflow.rules]
    print(json.dumps(rules))
