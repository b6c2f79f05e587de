# The server in an image without a shell, as a user without rights. How to run it, and why so: tuning/container/README.md.
#
#   docker build -t central-inventory-api .
#   docker run -p 8081:8081 -p 9080:9080 --security-opt seccomp=tuning/container/seccomp.json central-inventory-api
#
# Where no registry can be reached, tuning/container/bases makes both base images from Debian's packages. With buildah or
# podman add `--format docker`: the format OCI has no health check.
ARG BUILDER_IMAGE=docker.io/library/rust:1-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILDER_IMAGE} AS build
WORKDIR /source
COPY . .
# Crates and what was compiled stay in caches of the builder, which are no part of the image: the binary is copied out of
# them in the same step. Only the server is built, since the simulator would ask for a feature that is not shipped. `touch`,
# because cargo judges by age: it would take an older checkout's sources for those that are in the cache.
RUN --mount=type=cache,id=central-inventory-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=central-inventory-target,target=/source/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && CARGO_HOME=/usr/local/cargo cargo build --release --locked -p central-inventory --bin central-inventory \
    && mkdir -p /out/data \
    && cp target/release/central-inventory /out/

FROM ${RUNTIME_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="central-inventory" \
      org.opencontainers.image.description="The single source of truth for the stock of a fleet of stores: durable, ordered, fast." \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /out/central-inventory /usr/local/bin/central-inventory
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/central-inventory/
# A new volume takes over the owner of the directory that it covers.
COPY --from=build --chown=65532:65532 /out/data /data
VOLUME /data
ENV PORT=8081 \
    METRICS_PORT=9080 \
    DATA_PATH=/data/inventory.json \
    EVENTS_FILE_PATH=/data/events.json
EXPOSE 8081 9080
# A number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
# Recovery reads 64 MiB of journal in some tenths of a second; a start that takes longer than 30 s has much to read, and is
# unhealthy only after three more looks.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/central-inventory", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/central-inventory"]
