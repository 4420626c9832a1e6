# The API on an NVIDIA GPU. From the project's folder: docker build --file docker/cuda.Dockerfile --tag face-api-cuda .
# docs/cuda.md tells what the machine needs, docs/containers.md how it is run.
#
# CUDA's libraries are those that the lock file names, for ONNX Runtime and for dlib, as Python packages; so the image
# below brings the compiler alone to the builder, and next to nothing to the result: cuDNN and cuBLAS are there once.
ARG CUDA=13.0.1
ARG BUILD_BASE=docker.io/nvidia/cuda:${CUDA}-devel-ubuntu24.04
ARG BASE=docker.io/nvidia/cuda:${CUDA}-base-ubuntu24.04

FROM ${BUILD_BASE} AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1 \
    XDG_CACHE_HOME=/opt/face/cache
ARG UV_VERSION=0.13.9
# The secret is for a network whose proxy opens TLS: the system's certificates with that proxy's among them.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"

COPY pyproject.toml uv.lock ./
COPY packages/engine/pyproject.toml packages/engine/
COPY packages/api/pyproject.toml packages/api/
COPY packages/dashboard/pyproject.toml packages/dashboard/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    UV_CACHE_DIR=/root/.cache/uv UV_PROJECT_ENVIRONMENT=/opt/dlib /opt/uv/bin/uv sync --locked \
        --only-group cuda --only-group dlib-cuda

# For T4, A100, A10, L4, H100 and H200, B200, and what understands the code of the last one.
ARG CUDA_ARCHITECTURES=75-real;80-real;86-real;89-real;90-real;100-real;120
COPY scripts/cuda_dlib.py scripts/cuda_dlib.txt scripts/cuda_dlib.cmake scripts/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/dlib/bin/python scripts/cuda_dlib.py --architectures "${CUDA_ARCHITECTURES}" --folder /opt/wheels

# onnxruntime-gpu and that dlib own the files of onnxruntime and dlib-bin, which therefore stay out.
# Without pyproject.toml, which lets uv leave dlib out everywhere.
# The 68 landmarks come with the other weight files, are not used, and may not be used commercially.
ENV UV_PROJECT_ENVIRONMENT=/opt/face/venv
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    export UV_CACHE_DIR=/root/.cache/uv \
    && /opt/uv/bin/uv sync --locked --no-dev --no-install-workspace --package face-api --package face-engine \
        --no-install-package onnxruntime --no-install-package dlib-bin \
    && /opt/uv/bin/uv sync --locked --only-group cuda --inexact \
    && /opt/uv/bin/uv pip install --no-config --python /opt/face/venv --no-deps /opt/wheels/*/dlib-*.whl \
    && find /opt/face -name shape_predictor_68_face_landmarks.dat -delete

COPY packages/engine packages/engine
COPY packages/api packages/api
# With the converted networks: written by root, so that the service may read and never change them.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    UV_CACHE_DIR=/root/.cache/uv /opt/uv/bin/uv sync --locked --no-dev --no-editable --inexact \
        --package face-api --package face-engine --no-install-package onnxruntime --no-install-package dlib-bin \
    && /opt/face/venv/bin/python -c \
        "from face_engine.networks import models; models.load_detector(); models.load_encoder()" \
    && rm -f /opt/face/venv/.lock \
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
# NVIDIA_*: what the container toolkit gives the container, of the machine's driver.
ENV PATH=/opt/face/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/opt/face/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    FACE_API_AUTH=keys \
    FACE_API_DATA_DIR=/data \
    FACE_API_DEVICE=cuda \
    FACE_API_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["/usr/bin/python3", "/opt/face/healthy.py", "http://127.0.0.1:8000/readyz"]
# A process that is the first one of a container ignores SIGTERM until it asks for it, so tini is.
ENTRYPOINT ["tini", "--", "face-api"]
CMD ["serve"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Face verification: the API, for NVIDIA GPUs" \
      org.opencontainers.image.description="Enrolls and analyses face photos over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
