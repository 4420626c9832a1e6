# The API. From the project's folder: docker build --file docker/api.Dockerfile --tag face-api .
# docs/containers.md tells how it is run.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PROJECT_ENVIRONMENT=/opt/face/venv \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1 \
    XDG_CACHE_HOME=/opt/face/cache
ARG UV_VERSION=0.13.9
# The secret is for a network whose proxy opens TLS: the system's certificates with that proxy's among them.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"

# What it depends on changes seldom, the code often.
COPY pyproject.toml uv.lock ./
COPY packages/engine/pyproject.toml packages/engine/
COPY packages/api/pyproject.toml packages/api/
COPY packages/dashboard/pyproject.toml packages/dashboard/
# The 68 landmarks come with the other weight files, are not used, and may not be used commercially.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    UV_CACHE_DIR=/root/.cache/uv /opt/uv/bin/uv sync --locked --no-dev --no-install-workspace \
        --package face-api --package face-engine --extra openvino \
    && find /opt/face -name shape_predictor_68_face_landmarks.dat -delete

COPY packages/engine packages/engine
COPY packages/api packages/api
# With the converted networks: written by root, so that the service may read and never change them.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    UV_CACHE_DIR=/root/.cache/uv /opt/uv/bin/uv sync --locked --no-dev --no-editable \
        --package face-api --package face-engine --extra openvino \
    && /opt/face/venv/bin/python -c \
        "from face_engine.networks import models; models.load_detector(); models.load_encoder()" \
    && rm /opt/face/venv/.lock \
    && chmod -R a+rX,go-w /opt/face

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 face \
    && useradd --uid 10001 --gid face --home-dir /data --no-create-home --shell /usr/sbin/nologin face \
    && install --directory --owner=face --group=face --mode=0700 /data
COPY --from=builder /opt/face /opt/face
COPY docker/healthy.py docker/make_secrets.py LICENSE /opt/face/
ENV PATH=/opt/face/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/opt/face/cache \
    FACE_API_AUTH=keys \
    FACE_API_DATA_DIR=/data \
    FACE_API_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/bin/python3", "/opt/face/healthy.py", "http://127.0.0.1:8000/readyz"]
# A process that is the first one of a container ignores SIGTERM until it asks for it, so tini is.
ENTRYPOINT ["tini", "--", "face-api"]
CMD ["serve"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Face verification: the API" \
      org.opencontainers.image.description="Enrolls and analyses face photos over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
