# `make figures`, `make test` and `make check` build .venv first when it is missing, half built, moved, or older than what it is made from.
.DEFAULT_GOAL := help
.PHONY: help figures book test test-browser test-nbgrader check notebooks pretrained clean

ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
endif

# the stamp is written last and holds the folder's path: a virtual environment does not survive a move
ifneq ($(shell cat .venv/built 2>/dev/null),$(CURDIR))
.PHONY: .venv/built
endif

help:
	@echo "make figures   run all notebooks (profile full) and write figures/; what is fresh is skipped"
	@echo "make book      write the course as a web site into artifacts/book"
	@echo "make test      run the tests"
	@echo "make test-browser  run the notebooks and the book in JupyterLab and Chromium, which must be installed"
	@echo "make test-nbgrader  let nbgrader make and grade the exercises; it is installed beside .venv, in build/"
	@echo "make check     run all but the slow ones: 40 seconds"
	@echo "make notebooks run the notebooks and keep their outputs in them (after editing one)"
	@echo "make pretrained  teach mer_utils/start.safetensors anew; the same bytes unless the code changed"
	@echo "make clean     remove .venv, artifacts/, synthetic data and caches; figures/ stays"
	@echo "These build .venv when needed. PYTHON=/path/to/python chooses another Python (3.11 or newer)."

figures: .venv/built
	.venv/bin/mer run --profile full $(ARGS)

book: .venv/built
	.venv/bin/mer book $(ARGS)

test: .venv/built
	.venv/bin/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

test-browser: .venv/built
	.venv/bin/python -m pip install --quiet -r tests/browser/requirements.txt
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile tests/browser $(ARGS)

test-nbgrader: .venv/built
	.venv/bin/python -m pip install --quiet --no-deps --upgrade --target build/nbgrader -r tests/nbgrader.txt
	PATH=$(CURDIR)/build/nbgrader/bin:$$PATH PYTHONPATH=$(CURDIR)/build/nbgrader \
		.venv/bin/python -m pytest tests/test_teaching.py $(ARGS)

check: .venv/built
	.venv/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not slow" $(ARGS)

notebooks: .venv/built
	.venv/bin/mer exercises
	.venv/bin/mer keep

pretrained: .venv/built
	.venv/bin/python benchmarks/pretrain.py $(ARGS)

.venv/built: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "No Python 3.11 or newer found: install one, or say make PYTHON=/path/to/python." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	.venv/bin/python -m pip install --quiet -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@pwd -P > .venv/built

clean:
	rm -rf .venv artifacts data/synthetic-* data/.lock-synthetic-* build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
