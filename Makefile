# Two commands do everything: `make demo` and `make test`. Each does its own set-up.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check
# The code generator has its own environment: code from grpcio-tools 1.75 runs on every runtime
# from protobuf 6.31 on, code from a newer generator would refuse the older ones.
GEN    := .venv-proto
PROTOS := $(wildcard proto/inferry/v1/*.proto)

PAGE   := bridge/inferry/bridge/web/page

.PHONY: demo test serve bench simulate hunt crash chaos soak fuzz proto page screenshots recording sync lint check-proto check-page unit format clean

demo: $(VENV)/.run
	$(BIN)/python examples/demo.py

serve: $(VENV)/.run
	$(BIN)/inferry serve

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.watched

# The core in virtual time against faults drawn from each seed: make simulate SEEDS=10000
# On a real PostgreSQL, with one gateway or several: make simulate SEEDS=1000 STORE=postgres REPLICAS=3
SEEDS ?= 1000
STORE ?= sqlite
REPLICAS ?= 1
simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --store $(STORE) --replicas $(REPLICAS)

# Bugs planted in the core: looks for each where it showed last, then in other seeds, and keeps where.
hunt: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --planted --keep
	$(BIN)/python -m tests.simulation --planted --keep --store postgres
	$(BIN)/python -m tests.simulation --planted --keep --store postgres --replicas 3

# A real gateway and its workers, killed, frozen and cut off again and again: make crash N=500
# Three replicas that are killed, frozen and stopped: make crash STORE=postgres TASKS=5000
N ?= 100
TASKS ?= 5000
crash: $(VENV)/.dev
	$(BIN)/python -m tests.crash --store $(STORE) --runs $(N) --tasks $(TASKS)

# The database of two replicas: its connections terminated and taken, restarted, crashed, each so often.
# More than they can do: make chaos CLIENTS=48
ROUNDS ?= 3
CLIENTS ?= 12
chaos: $(VENV)/.dev
	$(BIN)/python -m tests.crash --store postgres --chaos $(ROUNDS) --clients $(CLIENTS)

# Whether memory or descriptors grow at a steady load: make soak SECONDS=3600
SECONDS ?= 600
soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak --seconds $(SECONDS)

# REST against what its OpenAPI document says of it: make fuzz N=10000
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --cases $(N)

test: lint check-proto check-page unit

# Tests wait more than they work: there is one more at a time than there are cores. What is set up once
# for a file is so in one process.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
PYTEST_ARGS ?= --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

unit: $(VENV)/.dev $(GEN)/.ready examples/express_backend/node_modules tests/node/node_modules .build/faketime .build/systemd .build/pgbouncer .build/chromium $(PAGE)/node_modules
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev .build/googleapis
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.unasync --check
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code proto

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/buf format --write proto

proto: $(GEN)/.ready
	$(call generate,proto)

# The web page: its source is TypeScript, what is served is committed.
page: $(PAGE)/node_modules
	cd $(PAGE) && node build.js

# Pictures of every page, of a gateway under load; the README's two go into docs/.
screenshots: $(VENV)/.dev .build/chromium $(PAGE)/node_modules
	$(BIN)/python -m tools.screenshots .build/screenshots --docs

# What `make demo` shows, as the README has it.
recording: $(VENV)/.run
	$(BIN)/python -m tools.recording docs/demo.svg

check-page: $(PAGE)/node_modules
	cd $(PAGE) && node_modules/.bin/tsc && node build.js $(CURDIR)/.build/page
	diff --recursive .build/page $(PAGE)/../bundle || { echo "run 'make page' and commit"; exit 1; }

# The synchronous client and its tests are made of the asynchronous ones.
sync: $(VENV)/.dev
	$(BIN)/python -m tools.unasync --write

# The committed code is what the protos give: nothing more, nothing less.
check-proto: $(GEN)/.ready
	rm -rf .build/generated && mkdir -p .build/generated
	$(call generate,.build/generated)
	for file in $$(cd .build/generated && find . -type f); do \
		cmp .build/generated/$$file proto/$$file || { echo "run 'make proto' and commit"; exit 1; }; \
	done

# The descriptor set has the comments, which the generated code has not.
define generate
mkdir -p $(1)/inferry/v1
$(GEN)/bin/python -m grpc_tools.protoc -I proto -I $(GEN)/site-packages \
	--plugin=protoc-gen-mypy=$(GEN)/bin/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(GEN)/bin/protoc-gen-mypy_grpc \
	--python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) \
	--include_source_info --descriptor_set_out=$(1)/inferry/v1/descriptors.binpb \
	$(PROTOS)
endef

# Both wheels come from this checkout: `inferry` depends on `inferry-client`.
$(VENV)/.run: pyproject.toml client/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt --editable ./client --editable .
	touch $@

$(VENV)/.dev: pyproject.toml client/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt --editable ./client --editable '.[dev]'
	touch $@ $(VENV)/.run

$(GEN)/.ready: constraints-proto.txt
	test -x $(GEN)/bin/python || $(PYTHON) -m venv $(GEN)
	$(GEN)/bin/pip install --quiet --disable-pip-version-check --requirement constraints-proto.txt
	ln -sfn "$$($(GEN)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" $(GEN)/site-packages
	touch $@

# buf reads google/api/*.proto from here: it reaches no network.
.build/googleapis: $(VENV)/.dev
	mkdir -p $@/google/api
	cp "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/google/api/annotations.proto \
		"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/google/api/http.proto $@/google/api/
	touch $@

# Node runs examples/express_backend and the gRPC client of another language in the tests.
%/node_modules: %/package.json .build/node
	cd $* && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

.build/node:
	mkdir -p .build
	command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm; }
	touch $@

# Sets the clock of the gateways of some tests, which are skipped without it, but never under CI=true.
.build/faketime:
	mkdir -p .build
	command -v faketime >/dev/null || ! command -v apt-get >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends faketime; } \
		|| echo "no faketime: tests that set a gateway's clock are skipped"
	touch $@

# Reads the unit of deploy/systemd: skipped without it, but never under CI=true.
.build/systemd:
	mkdir -p .build
	command -v systemd-analyze >/dev/null || ! command -v apt-get >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd; } \
		|| echo "no systemd-analyze: tests of the systemd unit are skipped"
	touch $@

# Stands between some stores of the tests and their PostgreSQL, likewise.
.build/pgbouncer:
	mkdir -p .build
	command -v pgbouncer /usr/sbin/pgbouncer >/dev/null || ! command -v apt-get >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer; } \
		|| echo "no pgbouncer: tests of a store behind one are skipped"
	touch $@

# Shows the web page in its tests, likewise.
.build/chromium:
	mkdir -p .build
	command -v chromium >/dev/null || ! command -v apt-get >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
		|| echo "no chromium: tests of the web page in a browser are skipped"
	touch $@

clean:
	rm -rf $(VENV) $(GEN) .build
