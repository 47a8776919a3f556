# make setup   minirt into .venv        make test     all tests that need no virtual machine
# make demo    two containers find      make test-vm  the same in Debian 12 and 13 guests
#              each other by name       make test-fresh    both commands in minimal Debian 12 and 13 roots
#                                       make bench    whole commands, timed, beside docker and podman
#                                       make bench-quick   a minute of that
#
# PYTHON=/usr/bin/python3 chooses the interpreter of a new .venv.

export PYTHON
BIN := .venv/bin
WORKERS ?= 2
SUITES ?= bookworm trixie

.PHONY: setup demo test test-vm test-fresh bench bench-quick clean

setup:
	@./setup.sh

demo: setup
	@./demo.sh

test:
	@./setup.sh test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy minirt tests integration bench
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests integration

test-vm:
	@./setup.sh vm
	@set -e; for suite in $(SUITES); do integration/vm/test.sh $$suite; done
	@set -e; for suite in $(SUITES); do \
		VM_KERNEL=security=selinux integration/vm/test.sh $$suite -q integration/test_security_modules.py; done

test-fresh:
	@./setup.sh fresh
	@set -e; for suite in $(SUITES); do integration/fresh.sh $$suite; done

bench:
	@./setup.sh bench
	$(BIN)/python -m bench
	$(BIN)/python -m bench.runtimes
	$(BIN)/python -m bench.network
	$(BIN)/python -m bench.dns

bench-quick:
	@./setup.sh bench
	$(BIN)/python -m bench --quick
	$(BIN)/python -m bench.runtimes --quick

clean:
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
