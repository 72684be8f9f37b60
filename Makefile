# What a newcomer types: `make demo` and `make test`. The rest is for whoever changes the code.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test check bench train phi-figures fuzz conformance conformance-table docs install needs-build needs-test needs-demo needs-bench needs-conformance

PREFIX := /usr/local

BUILD_PACKAGES := ca-certificates gcc g++ libc6-dev make cmake
BENCH_PACKAGES := postfix sasl2-bin libsasl2-modules
# What other people send with: tests/it/other_peoples_clients.
CLIENT_PACKAGES := curl msmtp nodejs node-nodemailer php-cli libphp-phpmailer default-jdk-headless libjakarta-mail-java
# swaks speaks TLS only with libnet-ssleay-perl.
TEST_PACKAGES := swaks libnet-ssleay-perl openssl gnupg strace python3 gsasl haproxy postgresql sqlite3 $(BENCH_PACKAGES) $(CLIENT_PACKAGES)
DEMO_PACKAGES := swaks libnet-ssleay-perl
CONFORMANCE_PACKAGES := $(BENCH_PACKAGES) python3-venv

help:             ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

demo: needs-build needs-demo   ## a throw-away clinic on this machine: a dozen messages, what became of each, and the proof (TOUR=policy: how a policy is tried; KEEP=1 leaves either running)
	@cargo build --locked --bin sealpost --example demo
	KEEP="$(KEEP)" cargo run --locked --quiet --example demo -- $(TOUR)

test: needs-build needs-test   ## everything that can be tested here, on real sockets and both databases
	cargo test --locked
	KEEP= timeout 300 cargo run --locked --quiet --example demo -- policy

check: needs-build             ## format, lints, house rules, documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --test tidy
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

bench: needs-build needs-bench ## how long a client waits for each answer, and the classifier takes; Sealpost and Postfix in the same run (QUICK=1: one cell)
	cargo build --locked --release --bin sealpost
	cargo bench --locked --bench answers
	cargo bench --locked --bench classify
	cargo bench --locked --bench relay -- $(if $(QUICK),--quick) $(if $(WRITE),--write)

conformance: needs-build       ## any mail server asked for every MUST and every known attack (TARGET=host:port USER= FROM= TO= CA= IMPLICIT= SINK= ONLY= JSON=1, PASSWORD in the environment)
	cargo run --locked --quiet --example conformance -- "$(TARGET)" $(if $(filter command line,$(origin USER)),--user "$(USER)") \
		$(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") $(if $(CA),--ca "$(CA)") $(if $(IMPLICIT),--implicit "$(IMPLICIT)") \
		$(if $(SINK),--sink "$(SINK)") $(if $(ONLY),--only "$(ONLY)") $(if $(PATIENCE),--patience "$(PATIENCE)") $(if $(JSON),--json)

conformance-table: needs-build needs-conformance  ## Sealpost, Postfix and aiosmtpd asked the same, and docs/reference/conformance.md written
	cargo build --locked --bin sealpost --example conformance
	cargo run --locked --quiet --example conformance -- --table

train: needs-build             ## learns the classifier's weights from training/families anew, and shows how unseen voices are judged
	cargo run --locked --quiet --example train

phi-figures: needs-build       ## how the classifier judges a folder of labelled mail, by category (CORPUS=folder with eml/, labels.csv and its scorer)
	@cargo build --locked --quiet --bin sealpost
	python3 "$(or $(CORPUS),../shared/phi-corpus)/score_phi.py" --cmd 'target/debug/sealpost classify --json {dir}'

fuzz: needs-build              ## looks for inputs that break the parsers (MINUTES=1 for each, TARGET=one, INPUT=file to try again)
	@tests/fuzz/run "$(or $(MINUTES),1)" "$(TARGET)" "$(INPUT)"

install:                       ## as root, after cargo build --release: program, systemd unit, user and folders (DESTDIR=, PREFIX=)
	install -D -m 755 target/release/sealpost $(DESTDIR)$(PREFIX)/bin/sealpost
	install -D -m 644 config/systemd/sealpost.service $(DESTDIR)/etc/systemd/system/sealpost.service
	install -D -m 644 config/systemd/sealpost.sysusers $(DESTDIR)/etc/sysusers.d/sealpost.conf
	install -D -m 644 config/systemd/sealpost.tmpfiles $(DESTDIR)/etc/tmpfiles.d/sealpost.conf
	[ -z "$(DESTDIR)" ] || exit 0
	systemd-sysusers sealpost.conf
	systemd-tmpfiles --create sealpost.conf
	[ ! -d /run/systemd/system ] || systemctl daemon-reload

docs: needs-build              ## writes the generated pages anew
	UPDATE_DOCS=1 cargo test --locked --lib reference

# Each of these installs the Debian packages that are missing; elsewhere it names them and stops.
needs-build needs-test needs-demo needs-bench needs-conformance: needs-%:
	@.ci/install $($(shell echo $* | tr a-z A-Z)_PACKAGES)
