# Needs Python 3.11 or newer with venv, and make. Everything else is fetched into .venv.
#
#   make demo      four customers on this machine: their past, broker, collector, agents   ONCE=1 SEED=7
#   make test      everything that is checked before a change is taken
#   make           what else there is

PYTHON ?= python3
SEEDS ?= 50
JOBS ?= 2
# Tests of whole processes wait for a good part of their time: for brokers, browsers, kills.
TOGETHER ?= 3
CUTS ?= 2000
MESSAGES ?= 1000000
ARCHES ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
PY := .venv/bin/python
BIN := .venv/bin

# The environment is made again only when what it is made of changes, not with every edit of a tool's settings.
INGREDIENTS := $(shell { sed -n '/^\[build-system\]/,/^\[tool\.pytest/p' pyproject.toml; cat constraints.txt; } | cksum | cut -d' ' -f1)
ENVIRONMENT := .make/environment-$(INGREDIENTS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env demo test lint types layers unit simulation system deep absent simulate sabotage kills fuzz power-cuts bench evidence deb deb-check format clean

help:
	@echo 'make demo                 a whole site on this machine, live in the browser; ONCE=1 ends after the invoices, SEED= changes the data'
	@echo 'make test                 lint, types, layers, unit, property, simulation and system tests'
	@echo 'make deep                 the tests that take too long for every change: leaks of the broker, a week offline, a quick bench,'
	@echo '                          every page in every look: its pictures lie in build/screens'
	@echo 'make simulate SEEDS=1000  that many seeds of the simulator; SEED=7 runs one and prints its last events'
	@echo 'make sabotage             breaks one rule at a time and shows that the simulator notices'
	@echo 'make power-cuts CUTS=9999 that many power cuts of the real spool code; SEED= changes the moments'
	@echo 'make kills                real processes and a real broker, killed with SIGKILL, checked to the unit; SEED= changes the moments, MODBUS=1 reads meters over TLS and certificates; STORM=600 kills somebody every few seconds for so long, POSTGRES=1 two collectors and their database as well'
	@echo 'make fuzz MESSAGES=9999   that many bad inputs among good ones; a million where nothing is said; SEED= begins elsewhere, POSTGRES=1 keeps the store there'
	@echo 'make billing-kills        billing runs over 1,000 contracts, killed a hundred times and resumed, alone and two at once; SEED= changes the moments'
	@echo 'make bench                figures of this machine, each beside its floor'
	@echo 'make evidence             the long versions of all of these, as they stand behind a release'
	@echo 'make deb                  the agent as Debian packages in dist/; ARCHES="amd64 arm64 armhf" for others than this machine'"'"'s'
	@echo 'make deb-check            installs them in a fresh Debian without a network, runs, boots and purges them; needs root'
	@echo 'make format               formats the code and mends what can be mended by itself'
	@echo 'make env, make clean      makes the environment alone; removes it and everything else that was made'

env: $(ENVIRONMENT)

$(ENVIRONMENT):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Meterseal needs Python 3.11 or newer as $(PYTHON); name another with: make PYTHON=/path/to/python3' >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python has no venv: install it (Debian, Ubuntu, Raspberry Pi OS: sudo apt install python3-venv), then run make again.' >&2; exit 1; }
	@test -x $(PY) || echo 'Making the environment in .venv, once; this takes a minute or two.'
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt --editable '.[collector,demo,dev]'
	@mkdir -p .make && rm -f .make/environment-* && touch $@

demo: $(ENVIRONMENT)
	@$(PY) -m demo $(if $(ONCE),--once) $(if $(SEED),--seed $(SEED))

test: lint types layers unit simulation system absent
	@echo 'All of it holds.'

lint: $(ENVIRONMENT)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

types: $(ENVIRONMENT)
	$(BIN)/mypy

layers: $(ENVIRONMENT)
	$(BIN)/lint-imports --no-logo

unit: $(ENVIRONMENT)
	$(PY) -m pytest -n $(TOGETHER) -m 'not deep' tests/unit tests/property

simulation: $(ENVIRONMENT)
	$(PY) -m pytest -m 'not deep' tests/simulation

system: $(ENVIRONMENT)
	$(PY) -m pytest -n $(TOGETHER) --dist loadfile --no-loadscope-reorder -m 'not deep' tests/system

deep: $(ENVIRONMENT)
	$(PY) -m pytest -n $(JOBS) --dist loadfile -m deep tests

# What was skipped is said once more, last, where nobody overlooks it.
absent: $(ENVIRONMENT)
	@$(PY) -c 'from tests.requirements import COMPONENTS; gone = [name for name, there in COMPONENTS.items() if not there()]; \
		print("absent here, their tests skipped: " + ", ".join(gone) if gone else "no component was absent")'

simulate: $(ENVIRONMENT)
	$(PY) -m tests.simulation.run $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --jobs $(JOBS))

sabotage: $(ENVIRONMENT)
	$(PY) -m tests.simulation.sabotage

power-cuts: $(ENVIRONMENT)
	$(PY) -W ignore -m tests.spool_life --cuts $(CUTS) $(if $(SEED),--seed $(SEED))

kills: $(ENVIRONMENT)
	$(PY) -m tests.crash.$(if $(STORM)$(POSTGRES),storm --seconds $(or $(STORM),600),kills) \
		$(if $(SEED),--seed $(SEED)) $(if $(MODBUS),--modbus) $(if $(POSTGRES),--postgres)

fuzz: $(ENVIRONMENT)
	$(PY) -m tests.fuzz --messages $(MESSAGES) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) $(if $(POSTGRES),--postgres)

billing-kills: $(ENVIRONMENT)
	$(PY) -m tests.crash.billing_kills $(if $(SEED),--seed $(SEED))
	$(PY) -m tests.crash.billing_kills $(if $(SEED),--seed $(SEED)) --schedulers 2

bench: $(ENVIRONMENT)
	$(PY) -m tests.bench

evidence: $(ENVIRONMENT)
	$(MAKE) test
	$(MAKE) deep
	HYPOTHESIS_PROFILE=search $(PY) -m pytest -n $(JOBS) tests/property
	$(MAKE) simulate SEEDS=1000
	$(MAKE) sabotage
	$(MAKE) power-cuts CUTS=100000
	$(MAKE) fuzz
	$(MAKE) fuzz MESSAGES=50000 POSTGRES=1 SEED=9000
	$(MAKE) kills SEED=1
	$(MAKE) kills SEED=2
	$(MAKE) kills SEED=3
	$(MAKE) kills SEED=1 MODBUS=1
	$(MAKE) kills STORM=600
	$(MAKE) kills STORM=600 POSTGRES=1
	$(MAKE) billing-kills SEED=1
	$(MAKE) bench
	$(MAKE) demo ONCE=1

# About a minute an architecture; the check takes as long, and needs root and Debian's debootstrap.
deb: $(ENVIRONMENT)
	$(PY) packaging/build.py --arch $(ARCHES)

deb-check: $(ENVIRONMENT)
	$(PY) packaging/check.py --arch $(ARCHES)

format: $(ENVIRONMENT)
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

clean:
	rm -rf .venv .make .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-data
	find . -name __pycache__ -prune -exec rm -rf {} +
