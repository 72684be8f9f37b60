# Sealpost in a container: one binary, no shell needed at run time, config in /etc/sealpost, state in /var/lib/sealpost.
#
#   docker build -t sealpost .
#
# docs/operate/install.md has the rest. Both base images can be replaced, for a registry of one's own. The build image
# has Rust 1.95 or newer; both are Debian of the same release, or the binary does not find its C library.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUN_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# A C compiler and CMake are for the cryptography and for SQLite.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates gcc g++ make cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin sealpost

FROM ${RUN_IMAGE}
# The certificate authorities of the system: partners' servers are judged by them.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 990 sealpost \
    && useradd --system --uid 990 --gid 990 --home-dir /var/lib/sealpost --shell /usr/sbin/nologin sealpost \
    && install -d -o sealpost -g sealpost -m 0700 /etc/sealpost /var/lib/sealpost
COPY --from=build /src/target/release/sealpost /usr/local/bin/sealpost
COPY --from=build /src/LICENSE /src/NOTICE /usr/share/doc/sealpost/
USER sealpost
VOLUME ["/etc/sealpost", "/var/lib/sealpost"]
EXPOSE 587 465
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sealpost"]
CMD ["serve", "--config", "/etc/sealpost/sealpost.toml"]
