# The image holds tconv-server, tconv, the shared libraries they load and nothing else: no shell,
# no package manager, no compiler.
#
# The build stage may be any Debian from 12 on. The default is the current stable release, for its
# newer oneDNN and its longer security support.
ARG DEBIAN=trixie
ARG BASE=debian:${DEBIAN}-slim

FROM ${BASE} AS build
WORKDIR /src
COPY scripts/install scripts/packages.txt scripts/
RUN scripts/install build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DTCONV_BUILD_TESTS=OFF \
 && cmake --build build/release --target tconv-server tconv
RUN mkdir /empty \
 && deploy/make_rootfs /rootfs build/release/server/tconv-server build/release/client/cli/tconv

FROM scratch
COPY --from=build /rootfs /
# A new named volume takes the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /empty /var/lib/tconv
USER 65532:65532
VOLUME /var/lib/tconv
# Beyond loopback the server wants TLS, TCONV_TLS_CERT and TCONV_TLS_KEY, or TCONV_ALLOW_PLAINTEXT.
# SQLite's temporary files go beside the database, so that the root may be read-only.
ENV TCONV_LISTEN=0.0.0.0:8500 \
    TCONV_PROBE_LISTEN=127.0.0.1:8501 \
    TCONV_STORE=sqlite:/var/lib/tconv/tconv.db \
    SQLITE_TMPDIR=/var/lib/tconv
EXPOSE 8500
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["tconv", "--server", "127.0.0.1:8501", "--deadline", "2", "health"]
ENTRYPOINT ["tconv-server"]
LABEL org.opencontainers.image.title="tconv" \
      org.opencontainers.image.description="Transposed-convolution layers as a service" \
      org.opencontainers.image.licenses="Apache-2.0"
