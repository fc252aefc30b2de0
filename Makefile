# What a contributor runs; .ci/run goes through the same targets. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

LINE ?= newest
ARGS ?=
# TensorFlow takes several cores for one test, and half a GB. ARGS='-n 0' is for a debugger.
WORKERS = --numprocesses=2 --dist=loadfile
# Short, but enough for 95 % on unheard voices; the command's own default is 30,000 steps.
DEMO_FLAGS = --precision_mode=allow_mix_precision \
  --how_many_training_steps=1000,500 --learning_rate=0.002,0.0005

# Puts the environment of a TensorFlow line into $$environment; builds it when it is missing.
use = environment="$$(./constraints/venv.sh $(1))"

.PHONY: help test demo lint options-page bazel

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo 'LINE=newest|tf2.15|tf1.15 chooses the TensorFlow, PYTHON=... the interpreter.'
	@echo 'Environments are kept in $${TF1_ASCEND_VENVS:-~/.cache/tf1-ascend}.'

test: ## run the tests, two files at a time; ARGS='-k word' goes to pytest
	@$(call use,$(LINE)); "$$environment/bin/python" -m pytest $(WORKERS) $(ARGS)

demo: ## train ds_cnn on synthesised speech and test it; ARGS='--flag=value' goes to it
	@$(call use,$(LINE)); "$$environment/bin/python" estimators/ds_cnn/train.py \
	  --output_path=estimators/ds_cnn/output/demo-$(LINE) $(DEMO_FLAGS) $(ARGS)

lint: ## ruff, mypy, and shellcheck where it is installed
	@$(call use,newest); python="$$environment/bin/python"; \
	"$$python" -m ruff check .; \
	"$$python" -m ruff format --check .; \
	"$$python" -m mypy; \
	if command -v shellcheck >/dev/null; then \
	  find . -name '*.sh' -not -path './.git/*' -print0 | xargs -0 shellcheck .ci/run .ci/bazel; \
	else echo 'shellcheck is not installed: shell scripts were not checked'; fi

options-page: ## write docs/options.md from the option table
	@$(call use,$(LINE)); mkdir -p docs; trap 'rm -f docs/options.md.new' EXIT; \
	"$$environment/bin/python" -m npu_adapter.options_page >docs/options.md.new; \
	mv docs/options.md.new docs/options.md

bazel: ## build and test every Bazel target
	@$(call use,$(LINE)); ./.ci/bazel "$$environment"
