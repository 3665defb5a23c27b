# make first  set up the environment; the default run as far as its benchmark, with a report (of any
#             CONFIG with a screen: the benchmark takes the place of its analyses)
# make run    the whole default configuration; what make first has done is not done again
# make test   all tests            make lint    formatters, linters, types
# make env    only the environment make report  HTML report of a finished run
# make config SCREEN=data/mine.h5ad   look at a screen and write config/mine.yaml for it; what cannot
#             be guessed is said by COLUMN=, CONTROL=, SEPARATOR= (none: whole labels), OUTPUT=
# make docs   config/README.md and config/schema.json from the schema of the configuration
# make site   the documentation as a site, site/index.html
# make benchmarks  time everything, write docs/performance.md (minutes)
# make clean  remove results, logs and caches (not downloads, not the environment)

PYTHON ?= python3
CORES  ?= all
# CONFIG=config/norman.yaml runs another configuration instead of the default one.
CONFIG ?=
WORKERS ?= auto

VENV := .venv
CONFIGFILE := $(if $(CONFIG),--configfile "$(CONFIG)")
RUN := $(or $(shell sed -n 's/^run: *["'"'"']\{0,1\}\([A-Za-z0-9._-]*\).*/\1/p' "$(or $(CONFIG),config/config.yaml)" 2>/dev/null),default)
ACTIVATE := . $(VENV)/bin/activate
# Snakemake's own messages about a file that is no YAML, or not there, do not name it.
CHECK := $(if $(CONFIG),PYTHONPATH=workflow/scripts python -m pipeline.config.read "$(CONFIG)" &&)
BENCHMARK := --config 'analyses=["benchmark"]'
# Named after the content of the requirements: a changed modification time reinstalls nothing.
STAMP := $(VENV)/installed-$(shell cat requirements.txt requirements.lock | cksum | cut -d ' ' -f 1)
SNAKEFILES := Snakefile workflow/rules

# Idle OpenMP threads sleep: spinning ones slow down the jobs that run beside them.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: first run config env report test lint docs site benchmarks clean
.DELETE_ON_ERROR:

# The first rule is what a bare `make` does.
run: env
	$(ACTIVATE) && $(CHECK) snakemake --cores $(CORES) $(CONFIGFILE) --rerun-incomplete all

first: env
	$(ACTIVATE) && $(CHECK) snakemake --cores $(CORES) $(CONFIGFILE) --rerun-incomplete $(BENCHMARK) -- all
	$(ACTIVATE) && snakemake $(CONFIGFILE) $(BENCHMARK) --report results/$(RUN)/report.html

config: env
	@$(if $(SCREEN),,echo 'name your screen: make config SCREEN=data/mine.h5ad' >&2; exit 2;) \
	$(ACTIVATE) && PYTHONPATH=.:workflow/scripts:workflow python -m screen.init_config "$(SCREEN)" \
	  $(if $(COLUMN),--column "$(COLUMN)") $(if $(CONTROL),--control "$(CONTROL)") \
	  $(if $(SEPARATOR),--separator "$(SEPARATOR)") $(if $(OUTPUT),--output "$(OUTPUT)") \
	  $(if $(filter-out all,$(CORES)),--cores $(CORES))

env: $(STAMP)

# torch first and alone: the exact pin then holds for whatever build of it pip finds.
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Python 3.11 or later is needed, " + sys.executable + " is older; call make PYTHON=python3.12 (or the like)")'
	$(PYTHON) -m venv --clear $(VENV)
	$(ACTIVATE) && python -m pip install --constraint requirements.lock "$$(grep '^torch==' requirements.txt)"
	$(ACTIVATE) && python -m pip install --requirement requirements.txt --constraint requirements.lock
	$(ACTIVATE) && python -m pip install --no-deps --editable .
	@touch $@

report: env
	$(ACTIVATE) && $(CHECK) snakemake $(CONFIGFILE) --report results/$(RUN)/report.html

test: env
	$(ACTIVATE) && OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS)

lint: env
	$(ACTIVATE) && ruff check .
	$(ACTIVATE) && ruff format --check .
	$(ACTIVATE) && snakefmt --check $(SNAKEFILES)
	$(ACTIVATE) && mypy --strict lcd_core
	$(ACTIVATE) && mypy workflow/scripts workflow/methods benchmarks
	$(ACTIVATE) && snakemake --lint

docs: env
	$(ACTIVATE) && PYTHONPATH=workflow/scripts:workflow python -m pipeline.config.document

site: env
	$(ACTIVATE) && mkdocs build --quiet

benchmarks: env
	$(ACTIVATE) && python benchmarks/run_all.py --size small

clean:
	rm -rf site results logs .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
