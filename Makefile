# make demo: install into demo/venv, compress a real face detector, run the original and the result side by side.
# make test: set up .venv and run everything that CI runs.    make dev: only set up .venv.
PYTHON ?= python3
export PYTHON

.PHONY: demo dev test clean

demo:
	scripts/demo

dev:
	scripts/develop

test: dev
	scripts/check

clean:
	rm -rf build demo dist .venv src/demitasse/*.so
