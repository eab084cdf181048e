# LoopMQ. `make` lists the targets.
#
# The tools are pinned in tools/go.mod and come from the Go module proxy on
# first use. Not here, because they cannot be had from the proxy alone:
# govulncheck needs its vulnerability database online on every run.

GO       ?= go
BIN      := bin
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
# Without the generator of man pages that cli brings: ours come from the
# configuration's schema.
TAGS     := urfave_cli_no_docs,nethttpomithttp2
# What no message passes through is not to be copied to where it is called: 176 kB
# of program, 71 of them fmt.Errorf and 33 log/slog.
GCFLAGS  := $(foreach p,fmt net/http encoding/json crypto/x509 log/slog,-gcflags $(p)=-l)
TOOL     := $(GO) tool -modfile=tools/go.mod
T        ?= 20s
FUZZTIME ?= $(T)
ROUNDS   ?= 3
MEASURE  ?= 2s
SEEDS    ?= 20000
SEED     ?= 0
SCENARIO ?= .
REF      ?= HEAD
ROWS     ?=
SOAK     ?= 20m
OUT      ?= $(BIN)
FAULTS   ?= seed=1 rate=0.1 fatal=0

# A checkout owned by another user makes git fail, and with it go build's own
# stamping; the version goes in through LDFLAGS instead.
export GOFLAGS += -buildvcs=false
export CGO_ENABLED := 0
# Debian keeps mosquitto in /usr/sbin, which is not on everybody's PATH.
export PATH := $(PATH):/usr/sbin

.DEFAULT_GOAL := help
.PHONY: help build run test test-deps check fmt fmt-check vet staticcheck fix-check tidy size \
	bench bench-peers bench-durable bench-doors bench-baseline bench-diff bench-compare pgo torture fuzz sim faults hostile soak docs cover cross clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the broker into bin/loopmq (static, stripped)
	$(GO) build -trimpath -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)' -o $(BIN)/loopmq ./cmd/loopmq

run: build ## build and start a broker on 127.0.0.1:1883
	$(BIN)/loopmq serve

# The race detector needs cgo; nothing else does.
test: test-deps ## all tests, under the race detector; installs what they need
	CGO_ENABLED=1 $(GO) test -race -tags invariant -shuffle=on -timeout 15m ./...

test-deps: ## install mosquitto and its clients, peers of the tests (Debian, as root or through sudo)
	@scripts/test-deps.sh

# `make check test` runs the tests once: make builds a target once.
check: fmt-check vet staticcheck fix-check tidy size test ## what must hold before a commit: format, linters, house rules, size, tests

fmt: ## format and modernise all Go files
	$(TOOL) gofumpt -w .
	$(GO) fix ./...

fmt-check:
	@found=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$found" ]; then echo "not formatted (run: make fmt):"; echo "$$found"; exit 1; fi

vet: ## go vet, with and without the invariant checks and the faults
	$(GO) vet ./...
	$(GO) vet -tags invariant ./...
	$(GO) vet -tags faults ./...

staticcheck: ## staticcheck, with and without the invariant checks
	$(TOOL) staticcheck ./...
	$(TOOL) staticcheck -tags invariant ./...
	$(TOOL) staticcheck -tags faults ./loop

fix-check: ## what go fix would modernise (make fmt does it)
	$(GO) fix -diff ./...

size: build ## whether bin/loopmq is small enough (12 MiB)
	@size=$$(wc -c <$(BIN)/loopmq); if [ $$size -gt 12582912 ]; then \
		echo "bin/loopmq has $$size bytes, 12 MiB (12582912) are allowed: see Size in ARCHITECTURE.md"; exit 1; fi

tidy: ## house rules over the source: imports, forbidden calls, sizes, docs
	$(GO) test -count=1 ./internal/tidy

bench: build ## delivered messages a second: LoopMQ, Debian's mosquitto, bare relay in turn (ROUNDS=3 MEASURE=2s SCENARIO=regexp)
	@scripts/test-deps.sh
	$(GO) build -trimpath -o $(BIN)/relay ./bench/relay
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	$(BIN)/loopbench -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -loopmq $(BIN)/loopmq -mosquitto mosquitto -relay $(BIN)/relay

bench-durable: build ## the table of docs/durability.md: with and without a store, Debian's mosquitto with persistence (ROUNDS=3 MEASURE=2s)
	@scripts/test-deps.sh
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	$(BIN)/loopbench -durable -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -markdown docs/durability.md \
		-loopmq $(BIN)/loopmq -mosquitto mosquitto

bench-peers: build ## the table of docs/performance.md: also Mochi and nats-server (ROUNDS=3 MEASURE=2s SCENARIO=regexp)
	@scripts/test-deps.sh
	$(GO) build -trimpath -o $(BIN)/relay ./bench/relay
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	cd bench/peers && $(GO) vet ./... && $(GO) build -trimpath -o ../../$(BIN)/ ./...
	$(BIN)/loopbench -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -markdown docs/performance.md \
		-loopmq $(BIN)/loopmq -mosquitto mosquitto -peer 'mochi=$(BIN)/mochi {addr}' \
		-peer 'nats=$(BIN)/nats {addr} {dir}' -relay $(BIN)/relay

# One benchmark for each stage of a message's way: frame, decode, match, route,
# encode, read to write, and all of it.
STAGES := $(GO) test -run '^$$' -count 6 -benchtime 100ms ./codec ./router ./router/topic ./loop ./bench \
	-bench '^Benchmark(Codec|Route|Match|Echo|FanOut|Path)$$/^(frame|decode.*|encode.*|.*_to_.*|100000|read_to_write|Send.*|1to1|1to100|qos1x10|qos2x10)$$'

bench-baseline: ## write bench/baseline.txt anew: the stages of a message's way, by go test
	@mkdir -p $(BIN)
	$(STAGES) >$(BIN)/stages.txt
	mv $(BIN)/stages.txt bench/baseline.txt

bench-diff: ## the stages now, beside bench/baseline.txt; only on the same machine do the times compare
	@mkdir -p $(BIN)
	$(STAGES) >$(BIN)/stages.txt
	$(TOOL) benchstat bench/baseline.txt $(BIN)/stages.txt

bench-doors: build ## what TCP, WebSocket, TLS and unix sockets cost, LoopMQ and Debian's mosquitto (ROUNDS=3 MEASURE=2s)
	@scripts/test-deps.sh
	$(GO) build -trimpath -o $(BIN)/doorbench ./bench/doorbench
	$(BIN)/doorbench -rounds $(ROUNDS) -measure $(MEASURE) -loopmq $(BIN)/loopmq -mosquitto $$(command -v mosquitto)

bench-compare: build ## the same, this tree against the commit REF (default HEAD)
	rm -rf $(BIN)/base && git worktree prune && git worktree add --detach $(BIN)/base $(REF)
	cd $(BIN)/base && $(GO) build -trimpath -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)' -o ../loopmq-base ./cmd/loopmq
	git worktree remove --force $(BIN)/base
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	$(BIN)/loopbench -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -loopmq $(BIN)/loopmq -base $(BIN)/loopmq-base

torture: ROUNDS := 300
torture: SEEDS := 100
torture: ## cut the power after every write and fail every call, SEEDS (100) histories; kill a broker under load ROUNDS (300) times
	LOOPMQ_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 30m -run 'TestPowerCuts|TestFaultAtEachCall' -v ./router
	LOOPMQ_TORTURE=$(ROUNDS) $(GO) test -count=1 -timeout 30m -run 'TestTorture' -v ./cmd/loopmq

# go build uses cmd/loopmq/default.pgo by itself. To be made anew when what is
# hot has changed; docs/performance.md says what it gains.
pgo: ## profile the scenarios and write cmd/loopmq/default.pgo
	@mkdir -p $(BIN)
	$(GO) test -run '^$$' -benchtime 1.5s -cpuprofile $(BIN)/default.pgo -o $(BIN)/bench.test ./bench \
		-bench 'Path/^(1to1|1to100|50x50|100to1|shared|qos1x50|qos1-1to100|qos2x10|payload-1KiB|filters-100k)$$'
	mv $(BIN)/default.pgo cmd/loopmq/default.pgo

fuzz: ## run every fuzz target for T (20s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go); do \
			echo "fuzz $$dir $$target $(FUZZTIME)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$dir </dev/null; \
		done; \
	done

faults: ## the tests at the wire while system calls fail (FAULTS="seed=1 rate=0.1 fatal=0")
	$(if $(strip $(FAULTS)),,$(error FAULTS is empty: no call would fail))
	LOOPMQ_FAULTS='$(FAULTS)' $(GO) test -count=1 -tags 'faults invariant' -run '^TestFaultsMakeSense$$' ./loop
	LOOPMQ_FAULTS='$(FAULTS)' $(GO) test -count=1 -tags 'faults invariant' -timeout 15m ./loop ./loop/transport ./broker ./conformance

hostile: ## two thousand malformed and abusive inputs, figures of a witness meanwhile (ROWS=regexp, which must name a row)
	$(GO) test -count=1 -v -timeout 30m ./conformance/hostile -all -rows '$(ROWS)'

soak: ## clients of all kinds for SOAK (20m), and again with a state directory and restarts; figures, plots in OUT/soak*.svg (bin/)
	mkdir -p $(OUT)
	$(GO) test -count=1 -v -timeout 0 ./conformance/soak -for $(SOAK) -out $(abspath $(OUT))

sim: ## the router in simulation: SEEDS=20000 runs from SEED (0: from the clock); PLAN=memory, durable, classed or disk; a failing seed is shrunk and shown
	$(GO) test -count=1 -v -timeout 1h -run '^TestSeeds$$' ./internal/sim -seeds $(SEEDS) -seed $(SEED) -plan '$(PLAN)'

docs: ## write docs/conformance.md, docs/configuration.md, the man page and the example file anew
	$(GO) test -count=1 -run TestStatementsDocument ./conformance -update
	$(GO) test -count=1 -run 'TestDocumentation|TestBadConfigurations|TestSamples' ./config/... -update

cover: test-deps ## test coverage by function, and cover.html
	$(GO) test -tags invariant -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -n 1
	$(GO) tool cover -html=cover.out -o cover.html

# os/arch[/arm version]; mips routers have no floating point unit.
PLATFORMS := linux/amd64 linux/arm64 linux/arm/6 linux/arm/7 linux/386 linux/mips linux/mipsle \
	linux/riscv64 darwin/arm64 freebsd/amd64

cross: ## build for every supported platform into dist/
	@set -e; for p in $(PLATFORMS); do \
		os=$$(echo $$p | cut -d/ -f1); arch=$$(echo $$p | cut -d/ -f2); arm=$$(echo $$p | cut -s -d/ -f3); \
		out=dist/loopmq-$$os-$$arch$${arm:+v$$arm}; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$${arm:-7} GOMIPS=softfloat \
			$(GO) build -trimpath -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)' -o $$out ./cmd/loopmq; \
		ls -l $$out | awk '{ printf "%-28s %6.2f MB\n", $$NF, $$5 / 1e6 }'; \
	done

clean: ## remove what make built
	rm -rf $(BIN) dist cover.out cover.html
