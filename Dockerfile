# Two stages: a builder with the Rust toolchain and cmake (zlib-ng, which pingora needs, is built with it), and an image
# that holds nothing but the program, CA certificates and the C library. It runs as nobody, on a read-only root;
# by number, since Kubernetes cannot tell whether a user with a name is root.
FROM rust:1.95-bookworm AS build
# Debian keeps no old versions, so that a pinned one would end in a build that fails; any cmake will do.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY config config
COPY benches benches
COPY tests tests
RUN cargo build --release --locked --bin consentry && strip target/release/consentry

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/consentry /usr/local/bin/consentry
COPY config/consentry.toml /etc/consentry/consentry.toml
USER 65532:65532
EXPOSE 8080 9900
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/consentry", "health"]
ENTRYPOINT ["/usr/local/bin/consentry"]
CMD ["run", "--config", "/etc/consentry/consentry.toml"]
