# Two commands: `make demo` runs the main job on real local servers, `make test` passes the tests.
# Both set up all they need first (scripts/setup) and reuse what is there.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests setup-bench demo test times check fast image deb soak bench clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages and a virtual environment of this repository's own
	@scripts/setup

setup-tests:
	@scripts/setup tests

setup-bench:
	@scripts/setup bench

demo: setup ## the main job: see a login and a change, replace the server, lose no request
	@.venv/bin/driftd demo $(DEMO)

test: setup-tests check ## everything that can run here
	@$(PYTHON) scripts/test.py -n 3 --dist loadfile --no-loadscope-reorder -m "not soak" $(TESTS)

times: ## make test, which keeps how long each file of tests took: the longest begin first next time
	@$(MAKE) --no-print-directory test TESTS=--keep-times

fast: setup-tests ## only what needs no servers
	@$(PYTHON) scripts/test.py -m "not soak and not servers and not rootless" $(TESTS)

check: setup-tests ## formatting, lint, types and the house's laws
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

image: setup-tests ## driftd's container image, as an OCI layout in build/image
	@scripts/image

soak: setup-tests ## minutes to hours, by hand; the results stand in docs/soak.md
	@$(PYTHON) scripts/test.py -m soak --timeout 7200 -s $(TESTS)

bench: setup-bench ## what looking costs, beside AIDE and others; writes docs/benchmarks.md (minutes, as root)
	@bench/tree
	@$(PYTHON) -m bench.speed $(BENCH)
	@[ -n "$(BENCH)" ] || $(PYTHON) -m bench.plot

deb: setup ## the Debian package, in dist/ (docs/service.md)
	@scripts/deb $(DEB)

clean: ## remove the demo's fleet and what was built here
	@[ ! -x .venv/bin/driftd ] || .venv/bin/driftd demo --clean
	@rm -rf .venv .venv-checkov .venv-moto .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
