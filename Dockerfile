# outbox-relay in an image that holds the program, the C library and root certificates; no shell.
#
#   docker build -t outbox-relay .
#   docker run -e OUTBOX_RELAY__DATABASE__URL=postgres://relay:secret@db/shop \
#     -e OUTBOX_RELAY__KAFKA__BROKERS=kafka:9092 outbox-relay
#   docker run -v ./relay.toml:/etc/outbox-relay/relay.toml:ro outbox-relay check
#   docker build --build-arg FEATURES=object-store -t outbox-relay .     # large payloads in S3
#
# The minor version of Rust is the one that the program is tested with.
FROM rust:1.95-bookworm AS build
WORKDIR /build
ARG FEATURES=""

# The dependencies are a layer of their own, made again only where one of these files changes:
# they are compiled for an empty program, of which nothing is left for cargo to mistake for ours. Cargo
# asks for the manifest of the benchmark, and compiles nothing of it.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY benches/Cargo.toml benches/Cargo.toml
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features "$FEATURES" \
    && cargo clean --release --locked --package outbox-relay \
    && rm -r src

COPY config/default.toml config/default.toml
COPY migrations migrations
COPY src src
RUN cargo build --release --locked --features "$FEATURES"

# glibc as old as the build's, libgcc, and the certificates of public authorities.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="outbox-relay" \
      org.opencontainers.image.description="Moves events from a PostgreSQL outbox table to Apache Kafka, in order" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /build/target/release/outbox-relay /outbox-relay
COPY config/image.toml /etc/outbox-relay/relay.toml

# The health check reads the same settings as the relay, so the file is named here and not in CMD.
# In a container only the address of every interface is reached from outside.
ENV OUTBOX_RELAY_CONFIG=/etc/outbox-relay/relay.toml \
    OUTBOX_RELAY__HTTP__LISTEN=0.0.0.0:9464
EXPOSE 9464

# Numeric, so that Kubernetes can tell that it is not root (runAsNonRoot).
USER 65532:65532

# Asks /livez: a relay in an outage is healthy, because to restart it would not end the outage.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/outbox-relay", "health"]
# The relay lets what is in flight land: give it relay.shutdown_grace_ms and a second.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/outbox-relay"]
CMD ["run"]
