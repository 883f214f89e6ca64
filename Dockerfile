# The CUDA image: docker build -t eioku-ml .
# The CPU image:  docker build -t eioku-ml:cpu --build-arg BASE=ubuntu:24.04 \
#                     --build-arg TORCH_BACKEND=cpu .
#
# The frame pool lives in /dev/shm, and Docker's default of 64 MB is too small:
# run with --shm-size=2g (1 GB a device, and room to spare). See compose.yaml.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY Makefile pyproject.toml constraints.txt overrides.txt README.md ./
COPY ipc ipc
COPY server server
COPY gpu_workers gpu_workers
COPY bench bench
# Empty: the registry's own torch, which brings CUDA. uv knows what "cpu" means.
ARG TORCH_BACKEND=
RUN if [ -n "${TORCH_BACKEND}" ]; then export UV_TORCH_BACKEND="${TORCH_BACKEND}"; fi \
    && make install EXTRAS=

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 eioku \
    && mkdir /models /media \
    && chown eioku /models
COPY --from=build /app /app
WORKDIR /app
USER eioku
ENV HOST=0.0.0.0 \
    PORT=8001 \
    MODEL_CACHE_DIR=/models \
    MEDIA_ROOTS=/media \
    PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
VOLUME /models
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# The service finishes what is in flight for up to 30 s after SIGTERM: docker stop --time 40
STOPSIGNAL SIGTERM
CMD ["python", "-m", "server"]
