# LoopMQ. `make` lists the targets.
#
# The tools are pinned in tools/go.mod and come from the Go module proxy on
# first use. Not here, because they cannot be had from the proxy alone:
# govulncheck needs its vulnerability database online on every run.

GO       ?= go
BIN      := bin
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOL     := $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 20s
ROUNDS   ?= 3
MEASURE  ?= 2s
SCENARIO ?= .
REF      ?= HEAD

# A checkout owned by another user makes git fail, and with it go build's own
# stamping; the version goes in through LDFLAGS instead.
export GOFLAGS += -buildvcs=false
export CGO_ENABLED := 0
# Debian keeps mosquitto in /usr/sbin, which is not on everybody's PATH.
export PATH := $(PATH):/usr/sbin

.DEFAULT_GOAL := help
.PHONY: help build run test test-deps check fmt fmt-check vet staticcheck fix-check tidy \
	bench bench-compare torture fuzz docs cover cross clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the broker into bin/loopmq (static, stripped)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/loopmq ./cmd/loopmq

run: build ## build and start a broker on 127.0.0.1:1883
	$(BIN)/loopmq serve

# The race detector needs cgo; nothing else does.
test: test-deps ## all tests, under the race detector; installs what they need
	CGO_ENABLED=1 $(GO) test -race -tags invariant -shuffle=on -timeout 15m ./...

test-deps: ## install mosquitto and its clients, peers of the tests (Debian, as root or through sudo)
	@scripts/test-deps.sh

# `make check test` runs the tests once: make builds a target once.
check: fmt-check vet staticcheck fix-check tidy test ## what must hold before a commit: format, linters, house rules, tests

fmt: ## format and modernise all Go files
	$(TOOL) gofumpt -w .
	$(GO) fix ./...

fmt-check:
	@found=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$found" ]; then echo "not formatted (run: make fmt):"; echo "$$found"; exit 1; fi

vet: ## go vet, with and without the invariant checks
	$(GO) vet ./...
	$(GO) vet -tags invariant ./...

staticcheck: ## staticcheck, with and without the invariant checks
	$(TOOL) staticcheck ./...
	$(TOOL) staticcheck -tags invariant ./...

fix-check: ## what go fix would modernise (make fmt does it)
	$(GO) fix -diff ./...

tidy: ## house rules over the source: imports, forbidden calls, sizes, docs
	$(GO) test -count=1 ./internal/tidy

bench: build ## delivered messages a second: LoopMQ, Debian's mosquitto, bare relay in turn (ROUNDS=3 MEASURE=2s SCENARIO=regexp)
	@scripts/test-deps.sh
	$(GO) build -trimpath -o $(BIN)/relay ./bench/relay
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	$(BIN)/loopbench -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -loopmq $(BIN)/loopmq -mosquitto mosquitto -relay $(BIN)/relay

bench-compare: build ## the same, this tree against the commit REF (default HEAD)
	rm -rf $(BIN)/base && git worktree prune && git worktree add --detach $(BIN)/base $(REF)
	cd $(BIN)/base && $(GO) build -trimpath -o ../loopmq-base ./cmd/loopmq
	git worktree remove --force $(BIN)/base
	$(GO) build -trimpath -o $(BIN)/loopbench ./bench/loopbench
	$(BIN)/loopbench -rounds $(ROUNDS) -measure $(MEASURE) -scenario '$(SCENARIO)' -loopmq $(BIN)/loopmq -base $(BIN)/loopmq-base

KILLS ?= 300
torture: ## kill a broker under load KILLS (300) times, with SIGKILL, and look for what was lost
	LOOPMQ_TORTURE=$(KILLS) $(GO) test -count=1 -timeout 30m -run 'TestTorture' -v ./cmd/loopmq

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go); do \
			echo "fuzz $$dir $$target $(FUZZTIME)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir </dev/null; \
		done; \
	done

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
			$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/loopmq; \
		ls -l $$out | awk '{ printf "%-28s %6.2f MB\n", $$NF, $$5 / 1e6 }'; \
	done

clean: ## remove what make built
	rm -rf $(BIN) dist cover.out cover.html
