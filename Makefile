# make demo [PHOTOS=folder]   fill holes in real photos and print where the pictures are
# make test                   run the tests
# make test-slow              run those that take minutes
# make test-web               run those of the page in a browser (Chromium), and keep pictures of it in web-screenshots
# make check                  check lint, format and types
# make bench [RUN=name]       list the benchmarks, or run one
# make gpu DATA= VAL= OUT=     train and measure on a GPU for a quarter of an hour
# make clean                  remove what make made

PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin

# Two workers, a file of tests at a time: what a file's tests share is made once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-web check bench gpu clean

demo: .venv/installed
	$(BIN)/python examples/demo.py --out demo $(if $(PHOTOS),--photos "$(PHOTOS)")

test: .venv/installed-test
	$(PYTEST)

test-slow: .venv/installed-test
	$(PYTEST) -m slow

test-web: .venv/installed-test
	CERET_SCREENSHOTS=$(CURDIR)/web-screenshots $(PYTEST) -m web

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-test
	@$(if $(RUN),$(BIN)/python benchmarks/$(RUN).py,echo "make bench RUN=name, where name is one of:"; \
	  for file in benchmarks/*.py; do basename $$file .py; done)

gpu:
	$(PYTHON) benchmarks/gpu.py --data $(DATA) --val $(VAL) --out $(OUT)

clean:
	rm -rf .venv demo web-screenshots build *.egg-info .mypy_cache .ruff_cache .hypothesis

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'ceret needs Python 3.11 or later: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-test: .venv/installed requirements-test.lock
	$(BIN)/python -m pip install --quiet -r requirements.lock -r requirements-test.lock
	touch $@
