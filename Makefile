# SecureVault. `make demo` shows it, `make test` proves it; both install what
# they need on a Debian machine as root. Everything is built below bin/ and
# the cache folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/securevault
TOOLS := $(CACHE)/tools
BIN := $(CURDIR)/bin

export CGO_ENABLED := 0
STRIPPED := -trimpath -ldflags "-s -w"

# Limits in bytes of the stripped programs.
AGENT_LIMIT := 18000000
SERVER_LIMIT := 90000000

.PHONY: help build agent server target test unit e2e failover lint bench bench-server size demo fuzz clean packages client-packages tools

## help: this list
help:
	@sed -n 's/^## //p' Makefile

## build: both programs, static and stripped, in bin/
build: agent server

agent:
	go build $(STRIPPED) -o $(BIN)/securevault .

server:
	go build -C server $(STRIPPED) -o $(BIN)/securevault-server ./cmd/securevault-server

## demo: a live PostgreSQL credential in a file, renewed, rotated, the app signalled
demo: build packages
	go run ./examples/demo -bin $(BIN)

## test: all tests of both modules with the race detector, then the journeys
test: unit e2e

# The race detector needs cgo.
unit: packages server
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -v /e2e)
	cd server && SECUREVAULT_SERVER_BIN=$(BIN)/securevault-server CGO_ENABLED=1 go test -race ./...

# What starts the databases of the journeys; a tool of the tests.
target:
	go build -C server -o $(BIN)/securevault-target ./e2e/target

## e2e: users' journeys over the built programs, real databases or stand-ins, and real clients
e2e: build target packages client-packages
	SECUREVAULT_BIN_DIR=$(BIN) go test -count=1 -timeout 15m ./e2e/...

## failover: the active one of three servers killed 20 times under load, on PostgreSQL and on etcd
failover: packages
	cd server && SECUREVAULT_KILLS=20 go test -count=1 -v -timeout 10m -run 'KilledActive' ./cmd/securevault-server

## lint: go vet, staticcheck and golangci-lint with the layers of depguard
lint: tools
	go vet ./... && $(TOOLS)/staticcheck ./... && $(TOOLS)/golangci-lint run ./...
	cd server && go vet ./... && $(TOOLS)/staticcheck ./... && $(TOOLS)/golangci-lint run --config ../.golangci.yml ./...
	test -z "$$(gofmt -l . | tee /dev/stderr)"

## bench: the agent beside consul-template, and the server; prints figures, asserts nothing
# Files go to memory, where secrets belong: ext4 takes up to half a second more
# for a thousand files when as many were deleted in the minutes before. What is
# over in seconds is run five times; what watches a daemon, once.
STARTS := Secrets?$$
bench: export TMPDIR := $(if $(wildcard /dev/shm),/dev/shm,$(TMPDIR))
bench: export SECUREVAULT_BIN := $(BIN)/securevault
bench: export CONSUL_TEMPLATE_BIN := $(TOOLS)/consul-template
bench: agent tools bench-server failover
	go test -run '^$$' -bench '$(STARTS)' -benchtime 5x -timeout 30m ./e2e/bench
	go test -run '^$$' -bench . -skip '$(STARTS)' -benchtime 1x -timeout 30m ./e2e/bench

## bench-server: the server with PostgreSQL on a disk, then killed 200 times
bench-server: export TMPDIR := /var/tmp
bench-server: export SECUREVAULT_SERVER_BIN := $(BIN)/securevault-server
bench-server: server packages
	cd server && go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./e2e
	cd server && SECUREVAULT_CRASHES=200 go test -count=1 -run Killed -v -timeout 30m ./e2e

## size: fails if a program is over its limit, or the agent links what it must not
size: build
	@limit() { bytes=$$(stat -c %s "$$1"); echo "$$1: $$bytes bytes of $$2"; test "$$bytes" -le "$$2"; }; \
	limit $(BIN)/securevault $(AGENT_LIMIT); limit $(BIN)/securevault-server $(SERVER_LIMIT)
	@if go list -deps . | grep -E '^(github.com/(aws|Azure|lib/pq|jackc)|github.com/hashicorp/(consul|nomad)|cloud.google.com|google.golang.org|k8s.io|github.com/hashicorp/vault/sdk|github.com/novatech/securevault/(server|e2e|examples|internal/(vaulttest|pgserver)))'; \
	then echo "the agent links the packages above, which it must not"; exit 1; fi

## fuzz: every fuzz target for FUZZTIME each
FUZZTIME ?= 20s
fuzz:
	@for module in . server; do (cd $$module; \
		grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u | grep -v '^./server' | while read -r folder; do \
			grep -ho '^func Fuzz[A-Za-z]*' $$folder/*_test.go | cut -c6- | while read -r target; do \
				echo "$$module $$folder $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$folder; \
			done; \
		done); done

# A package is installed only if what it brings is missing.
packages:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(call install,postgresql)
	@test -x /usr/sbin/slapd || $(call install,slapd)
	@test -x /usr/sbin/mariadbd || $(call install,mariadb-server)
	@command -v redis-sentinel >/dev/null || $(call install,redis-server redis-sentinel redis-tools)
	@command -v etcd >/dev/null || $(call install,etcd-server)
	@command -v gcc >/dev/null || $(call install,gcc libc6-dev)
	@command -v chromium >/dev/null || $(call install,chromium)

client-packages:
	@/usr/bin/python3 -c 'import hvac, psycopg2' 2>/dev/null || $(call install,python3 python3-hvac python3-psycopg2)
	@command -v npm >/dev/null || $(call install,nodejs npm)

install = (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $(1))

# Built once for each state of tools/go.mod.
tools: $(TOOLS)/.stamp
$(TOOLS)/.stamp: tools/go.mod
	go build -C tools -o $(TOOLS)/ tool
	touch $@

clean:
	rm -rf $(BIN)
