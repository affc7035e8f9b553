# Every command a developer needs; `make` alone lists them.
#
# One target folder and one profile serve checks and tests, so that each dependency is checked once
# and compiled once. The demo and the benchmark alone are release builds.
.DEFAULT_GOAL := help
.PHONY: help demo test chaos bench bench-quick check

ARGS ?=

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## run the relay on a throw-away PostgreSQL and Kafka; ARGS="--for 20s" ends it by itself
	@scripts/stage 'what the demo needs' scripts/install demo
	@cargo run --release --locked -- dev $(ARGS)

test: ## run every test, on real PostgreSQL and real Apache Kafka
	@scripts/stage 'what the tests need' scripts/install test
	@scripts/stage "Apache Kafka's jars" scripts/kafka-jars
	@scripts/stage 'the schema registry' scripts/registry-jars
	@scripts/stage 'a store of objects' scripts/s3-jar
	@scripts/stage 'build' cargo test --locked --no-run
	@scripts/stage 'tests' cargo test --locked $(ARGS)
	@scripts/stage 'build with a store' cargo test --locked --features object-store --no-run
	@scripts/stage 'tests with a store' cargo test --locked --features object-store --test main large::

chaos: ## strike relays, servers and wires for long, and write a report: CHAOS_MINUTES (60), SEED, CHAOS_REPORT
	@scripts/stage 'what the tests need' scripts/install test
	@scripts/stage "Apache Kafka's jars" scripts/kafka-jars
	@scripts/stage 'chaos' cargo test --locked --test main -- --ignored --nocapture chaos

bench: ## measure against what people use today, some 2 h 30; ARGS="drain latency --rounds 1" for a part
	@scripts/stage 'what the benchmark needs' scripts/install bench
	@scripts/stage "Apache Kafka's jars" scripts/kafka-jars
	@scripts/stage 'build' cargo build --release --locked -p outbox-relay -p outbox-relay-bench
	@cargo run --quiet --release --locked -p outbox-relay-bench --bin outbox-relay-bench -- $(ARGS)

bench-quick: ## the same in some 3 minutes, for daily work
	@$(MAKE) --no-print-directory bench ARGS="--quick $(ARGS)"

check: ## format, lints and documentation
	@scripts/stage 'what the build needs' scripts/install build
	@scripts/stage 'format' cargo fmt --all --check
	@scripts/stage 'lints' cargo clippy --locked --all-targets -- -D warnings
	@scripts/stage 'lints of the benchmark' \
		cargo clippy --locked -p outbox-relay-bench --all-targets -- -D warnings
	@scripts/stage 'documentation' env RUSTDOCFLAGS='-D warnings' \
		cargo doc --locked --no-deps --document-private-items
