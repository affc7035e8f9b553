# Every command a developer needs; `make` alone lists them.
#
# One target folder and one profile serve checks and tests, so that each dependency is checked once
# and compiled once. The demo alone is a release build.
.DEFAULT_GOAL := help
.PHONY: help demo test chaos check

ARGS ?=

help: ## list the commands
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## run the relay on a throw-away PostgreSQL and Kafka; ARGS="--for 20s" ends it by itself
	@scripts/stage 'what the demo needs' scripts/install demo
	@cargo run --release --locked -- dev $(ARGS)

test: ## run every test, on real PostgreSQL and real Apache Kafka
	@scripts/stage 'what the tests need' scripts/install test
	@scripts/stage "Apache Kafka's jars" scripts/kafka-jars
	@scripts/stage 'build' cargo test --locked --no-run
	@scripts/stage 'tests' cargo test --locked $(ARGS)

chaos: ## strike relays, servers and wires for long, and write a report: CHAOS_MINUTES (60), SEED, CHAOS_REPORT
	@scripts/stage 'what the tests need' scripts/install test
	@scripts/stage "Apache Kafka's jars" scripts/kafka-jars
	@scripts/stage 'chaos' cargo test --locked --test main -- --ignored --nocapture chaos

check: ## format, lints and documentation
	@scripts/stage 'what the build needs' scripts/install build
	@scripts/stage 'format' cargo fmt --check
	@scripts/stage 'lints' cargo clippy --locked --all-targets -- -D warnings
	@scripts/stage 'documentation' env RUSTDOCFLAGS='-D warnings' \
		cargo doc --locked --no-deps --document-private-items
