# Sealpost in a container: one binary, no shell needed at run time, state in /var/lib/sealpost, config in /etc/sealpost.
#
#   docker build -t sealpost .
#   docker run --rm -v sealpost-etc:/etc/sealpost sealpost init /etc/sealpost --hostname relay.clinic.example
#   docker run -d -p 587:587 -p 465:465 -v sealpost-etc:/etc/sealpost -v sealpost-data:/var/lib/sealpost sealpost
#
# Both base images can be replaced, for a registry of one's own.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUN_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin sealpost

FROM ${RUN_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 990 --home-dir /var/lib/sealpost --shell /usr/sbin/nologin sealpost \
    && install -d -o sealpost -g sealpost -m 0700 /etc/sealpost /var/lib/sealpost
COPY --from=build /src/target/release/sealpost /usr/local/bin/sealpost
USER sealpost
VOLUME ["/etc/sealpost", "/var/lib/sealpost"]
EXPOSE 587 465
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sealpost"]
CMD ["serve", "--config", "/etc/sealpost/sealpost.toml"]
