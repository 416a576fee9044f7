# Two commands: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/sh
GO ?= go
BIN := bin/gateway
FAULTS_BIN := bin/gateway-faults
BINARIES = SLUICE_BIN=$(CURDIR)/$(BIN) SLUICE_FAULTS_BIN=$(CURDIR)/$(FAULTS_BIN)
LINT_VERSION := v2.15.0
DEADCODE_VERSION := v0.52.0
HELM_VERSION := v4.3.2
H2SPEC_VERSION := v2.2.1
COMPOSE_VERSION := v2.40.3
KUBERNETES_VALIDATE := 1.37.0
TOOLS := $(CURDIR)/.tools/bin
PART ?= 1/1
ALIVE := scripts/alive.sh
PROGRESS := $(GO) run ./test/progress -part $(PART)
FUZZTIME ?= 1s
# Property tests draw the same each time, so that a change is not refused for what was there before it; `make properties` draws anew.
export RAPID_SEED ?= 20261129
CHECKS ?= 10000
SEEDS ?= 1000
DATA ?=
TRAIN ?= $(DATA)
OUT ?= bin/evaluation.jsonl
REPORT ?= $(if $(DATA)$(TRAIN),,docs/cascade-evaluation.md)
SPLITS ?= 5
CLIENTS ?= pinned
SEED ?= 1
NUMBER ?= 1000
UPSTREAM ?= 127.0.0.1:8099
CAP ?= 300
QUICK ?=
DAYS ?= 30
ROWS ?=
REF ?=
MICRO ?=
WALKS := TestCapsWalk|TestSpellingsWalk|TestNoSpellingOfADeniedModel|TestUnreadParts|TestNothingIsFree
RACE := internal/gateway internal/leg internal/shadow internal/snapshot internal/meter internal/server
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -funcalign=16 -X main.version=$(VERSION)
# Compiled without inlining, which makes the program smaller: what no request passes through (docs/install.md).
COLD := github.com/aws github.com/parquet-go google.golang.org/protobuf github.com/andybalholm github.com/antlr4-go \
	github.com/molecule-man github.com/klauspost $(addprefix github.com/sluice-gateway/sluice/,cmd internal/advice \
	internal/api internal/batchjob internal/chart internal/commitment internal/dashboard internal/doctor internal/explain \
	internal/forecast internal/reconcile internal/review internal/rightsize internal/signin internal/simulate internal/standing \
	internal/statement internal/views internal/engine/sandbox)
export GOFLAGS += $(COLD:%=-gcflags=%/...=-l)

.PHONY: help run build build-faults test test-tools test-unit test-fuzz test-e2e observe-page test-clients shapes test-agents test-browser test-packages test-faults test-edge soak dist image month conformance eval check lint deadcode shape race fuzz properties bench bench-compare microbench tidy clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: build ## start the gateway on the built-in stand-in and print calls to try
	@$(BIN) quickstart

build: ## build bin/gateway
	@mkdir -p bin
	@$(ALIVE) 'build $(BIN)' $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/gateway

build-faults: build ## build bin/gateway-faults too, which fault tests can kill at named points
	@$(ALIVE) 'build $(FAULTS_BIN)' $(GO) build -trimpath -tags faults -ldflags '$(LDFLAGS)' -o $(FAULTS_BIN) ./cmd/gateway

test: ## install or find what the tests need, then run them all
	@scripts/test.sh

test-tools: ## find or install redis-server, the Python and the npm clients
	@$(ALIVE) 'what the tests need' scripts/test-tools.sh

test-unit: ## tests beside the code
	@$(PROGRESS) -what "tests beside the code" -- -timeout=60m $$($(GO) list ./... | grep -v /sluice/test)
	@$(PROGRESS) -what "hooks of fault tests" -- -tags=faults ./cmd/gateway/command ./cmd/gateway/serving

test-fuzz: ## each fuzz target for FUZZTIME
	@PART=$(PART) FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

test-e2e: build-faults ## the built binary against the stand-in, real Redis and unmodified clients
	@$(ALIVE) 'build the program of the last release' $(GO) test -count=1 -run '^TestOldBinary$$' ./test/harness
	@$(BINARIES) $(PROGRESS) -what "end to end" -- -timeout=60m -parallel=4 ./test/...

observe-page: build-faults ## every command of docs/observe.md, pasted, to the certificate and beyond
	@$(BINARIES) SLUICE_PAGE=whole $(PROGRESS) -what "docs/observe.md" -- -count=1 -run TestObservePage ./test

test-clients: build ## unmodified clients against the gateway; CLIENTS=newest: the registries' newest releases of each
	@$(ALIVE) 'the clients: $(CLIENTS)' scripts/$(if $(filter newest,$(CLIENTS)),newest-clients.sh,test-tools.sh all)
	@$(BINARIES) SLUICE_REPEATS=1 SLUICE_CLIENTS=$(if $(filter newest,$(CLIENTS)),.tools/newest) $(PROGRESS) -what "unmodified clients" -- \
		-count=1 -timeout=20m ./test -run \
		'TestClients|TestOpenAISDKs|TestAnthropicSDKs|TestFrameworks|TestPrintedCallsWork|TestDocumentedCallsWork'

shapes: build ## random requests of the shapes of official clients, by translators and gateway: NUMBER of each API, SEED
	@$(ALIVE) 'the clients' scripts/test-tools.sh
	@file=$$(mktemp) && trap 'rm -f '$$file EXIT && \
		.tools/frameworks/bin/python test/clients/python/shapes.py $(SEED) $(NUMBER) >$$file && \
		SLUICE_SHAPES=$$file $(PROGRESS) -what "shapes of requests" -- -count=1 -timeout=2h -run 'TestShapes|TestShapedAnswers' ./internal/dialect ./test

test-agents: build ## Claude Code and Codex, unmodified and headless, against the gateway: 1 GB to install
	@$(ALIVE) 'the agents' scripts/test-agents.sh
	@$(BINARIES) SLUICE_AGENTS=.tools/agents $(PROGRESS) -what "coding agents" -- -count=1 -run TestAgents ./test

dist: ## archives, lists of parts and checksums of a release, for linux and darwin: VERSION; publishes nothing
	@$(ALIVE) 'archives of $(VERSION)' $(GO) run -C packaging . archives -root '$(CURDIR)' -version '$(VERSION)'

image: ## the image for containers as one file of the OCI's form, without an engine: VERSION; publishes nothing
	@$(ALIVE) 'image of $(VERSION)' $(GO) run -C packaging . image -root '$(CURDIR)' -version '$(VERSION)'

test-packages: build image ## go install, the image run as root, the chart by helm, the Compose file by docker compose
	@$(ALIVE) 'go install' scripts/check-install.sh
	@$(ALIVE) 'golangci-lint $(LINT_VERSION)' $(MAKE) -s --no-print-directory $(TOOLS)/golangci-lint-$(LINT_VERSION)
	@cd packaging && $(GO) vet . && $(TOOLS)/golangci-lint-$(LINT_VERSION) run ./...
	@$(ALIVE) 'image and archives' $(GO) test -C packaging -count=1 ./...
	@$(ALIVE) 'image run in a root of its own' env SLUICE_IMAGE='$(CURDIR)/dist/sluice_$(VERSION:v%=%).oci.tar' \
		$(GO) test -C packaging -count=1 -run TestImageRuns -v .
	@$(ALIVE) 'helm $(HELM_VERSION)' $(MAKE) -s --no-print-directory $(TOOLS)/helm-$(HELM_VERSION)
	@KUBERNETES_VALIDATE=$(KUBERNETES_VALIDATE) $(ALIVE) 'Helm chart' scripts/check-chart.sh $(TOOLS)/helm-$(HELM_VERSION) $(BIN)
	@$(ALIVE) 'docker compose $(COMPOSE_VERSION)' $(MAKE) -s --no-print-directory $(TOOLS)/docker-compose-$(COMPOSE_VERSION)
	@$(ALIVE) 'Compose file' env SLUICE_ADMIN_TOKEN=a $(TOOLS)/docker-compose-$(COMPOSE_VERSION) -f docker-compose.yml config -q

$(TOOLS)/helm-$(HELM_VERSION):
	@GOBIN=$(TOOLS) $(GO) install helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)
	@mv $(TOOLS)/helm $@

# Its module excludes others, which go install refuses: a module of its own has it as a requirement instead.
$(TOOLS)/docker-compose-$(COMPOSE_VERSION):
	@dir=$$(mktemp -d) && cd $$dir && $(GO) mod init compose && $(GO) get github.com/docker/compose/v2/cmd@$(COMPOSE_VERSION) && \
		$(GO) build -o $@ github.com/docker/compose/v2/cmd && rm -rf $$dir

test-browser: ## the page in Debian's chromium: views, keyboard, dark, no scripts, prefix, rights; SHOTS=DIR keeps pictures
	@SHOTS='$(SHOTS)' $(ALIVE) 'the page in a browser' scripts/test-browser.sh

test-faults: build-faults ## the fault matrix: SEEDS kills of gateways, a fifth of it of Redis (docs/faults.md)
	@$(BINARIES) SEEDS=$(SEEDS) $(ALIVE) "fault matrix, $(SEEDS) seeds" scripts/faults.sh

test-edge: build $(TOOLS)/h2spec-$(H2SPEC_VERSION) ## attacks on the edge, over loopback: the table of docs/reliability.md, measured; ROWS=REGEXP
	@$(BINARIES) ROWS='$(ROWS)' $(ALIVE) "the edge" scripts/edge.sh

soak: build ## 2,000 slow streams, and ten minutes at half load: the second table of docs/reliability.md; ROWS=REGEXP
	@$(BINARIES) TABLE=soak ROWS='$(ROWS)' $(ALIVE) "the soak" scripts/edge.sh

# It is from before Go's modules: one of its own has it as a requirement.
$(TOOLS)/h2spec-$(H2SPEC_VERSION):
	@dir=$$(mktemp -d) && cd $$dir && $(GO) mod init h2spec && \
		$(GO) get github.com/summerwind/h2spec/cmd/h2spec@$(H2SPEC_VERSION)+incompatible && \
		$(GO) build -o $@ github.com/summerwind/h2spec/cmd/h2spec && rm -rf $$dir

month: ## a month on a simulated clock, each lever of cost alone and all, against a model: DAYS (docs/month.md)
	@SLUICE_MONTH=$(DAYS) $(ALIVE) 'a month of $(DAYS) days' $(GO) test -count=1 -timeout=60m -run TestMonth ./test/month
	@cat bin/month.md

conformance: build ## what a Bedrock gateway owes its callers: this one, or any by URL, KEY (docs/conformance.md)
	@$(GO) run ./test/conformance -program '$(BIN)' -url '$(URL)' -key '$(KEY)' -pair '$(PAIR)' -capped '$(CAPPED)' \
		-cap '$(CAP)' -dollar '$(DOLLAR)' -upstream '$(UPSTREAM)' -ca '$(CA)' -rows '$(ROWS)' -json '$(JSON)'

eval: build ## replay recorded answers through the built gateway: DATA, TRAIN, OUT (docs/cascade-evaluation.md)
	@$(GO) run ./bench/evaluation -bin '$(BIN)' -data '$(DATA)' -train '$(TRAIN)' -out '$(OUT)' -report '$(REPORT)' -splits '$(SPLITS)'

fuzz: ## vectors, 100,000 signatures against the SDK, and each fuzz target for 60 s: TARGETS=REGEXP
	@TARGETS='$(TARGETS)' scripts/vectors.sh

properties: export RAPID_SEED = 0
properties: ## each property test with new random draws: CHECKS of each
	@RAPID_CHECKS=$(CHECKS) $(PROGRESS) -what "properties" -- -count=1 -timeout=8h $$($(GO) list \
		-f '{{range .TestImports}}{{if eq . "pgregory.net/rapid"}}{{$$.ImportPath}}{{end}}{{end}}' ./...) \
		$$($(GO) list -f '{{range .XTestImports}}{{if eq . "pgregory.net/rapid"}}{{$$.ImportPath}}{{end}}{{end}}' ./...)

check: lint deadcode shape race ## format, vet, lint, dead code, import and shape rules, race tests

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'not formatted: run gofmt -w'; exit 1; }
	@$(ALIVE) 'go vet' $(GO) vet ./...
	@$(ALIVE) 'go vet, with the hooks of fault tests' $(GO) vet -tags faults ./cmd/...
	@$(ALIVE) 'golangci-lint $(LINT_VERSION)' $(MAKE) -s --no-print-directory $(TOOLS)/golangci-lint-$(LINT_VERSION)
	@$(ALIVE) 'lint' $(TOOLS)/golangci-lint-$(LINT_VERSION) run ./...

deadcode:
	@$(ALIVE) 'deadcode $(DEADCODE_VERSION)' $(MAKE) -s --no-print-directory $(TOOLS)/deadcode-$(DEADCODE_VERSION)
	@$(ALIVE) 'functions that nothing calls' scripts/deadcode.sh $(TOOLS)/deadcode-$(DEADCODE_VERSION)

$(TOOLS)/golangci-lint-$(LINT_VERSION):
	@GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(TOOLS)/golangci-lint $@

$(TOOLS)/deadcode-$(DEADCODE_VERSION):
	@GOBIN=$(TOOLS) $(GO) install golang.org/x/tools/cmd/deadcode@$(DEADCODE_VERSION)
	@mv $(TOOLS)/deadcode $@

shape:
	@$(PROGRESS) -what "imports and shape" -- -run='TestImports|TestShape' ./test

# What a connection holds says nothing under the detector, which holds more. Walks send one request after the other, by
# goroutines that the other tests drive, too: they run beside the code only.
race: test-tools ## the packages where goroutines meet, under the race detector
	@$(PROGRESS) -what "race detector" -- -race -timeout=20m -skip '$(WALKS)|TestWhatConnectionsHold' $(addprefix ./,$(wildcard $(RACE)))

bench: ## what a request costs, in one run beside a bare proxy and others: QUICK=1, ROWS=REGEXP (bench/README.md)
	@$(ALIVE) 'what benchmarks need' scripts/bench-tools.sh
	@$(GO) run ./bench $(if $(QUICK),-quick) -rows '$(ROWS)'

bench-compare: ## the gateway at REF against the working tree, measured in turn: QUICK=1, ROWS=REGEXP, MICRO=0
	@$(ALIVE) 'what benchmarks need' scripts/bench-tools.sh
	@$(GO) run ./bench $(if $(QUICK),-quick) -rows '$(ROWS)' -compare '$(or $(REF),main)' $(if $(filter 0,$(MICRO)),-micro=false)

microbench: ## benchmarks beside the code, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

tidy:
	$(GO) mod tidy

clean: ## remove what was built and installed here
	rm -rf bin dist .tools test/clients/js/node_modules
