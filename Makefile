# `make demo` and `make test` do all the set-up they need; `make` alone says what there is.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin

.PHONY: help setup demo test lint format doctor clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     set up, start the stack, turn a recording and a prompt into two validated applications"
	@echo "make test     set up, run every test (real Kafka, ClickHouse engine and browser)"
	@echo "make lint     set up, check style, types and import rules"
	@echo "make setup    what the others share; afterwards $(RUN)/millrace is there"
	@echo "make doctor   what is there, what is missing and how to get it"
	@echo "make format   put the code into the project's form"
	@echo "make clean    remove what set-up and runs have made (.venv, .toolchain, .millrace, demo-out)"

setup:
	@$(PYTHON) infra/bootstrap.py

demo: setup
	@$(RUN)/python -m millrace.demo

# Most tests wait for something: two files at a time, each side with a broker of its own.
test: setup
	@$(RUN)/python -m pytest -n 2 --dist loadfile

lint: setup
	@failed=0; for check in "ruff check ." "ruff format --check ." "mypy" "lint-imports --no-logo"; do \
		$(RUN)/$$check || failed=1; \
	done; exit $$failed

format: setup
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

doctor:
	@$$(test -x $(RUN)/python && echo $(RUN)/python || echo $(PYTHON)) -m infra.doctor

clean:
	rm -rf .venv .toolchain .millrace demo-out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
