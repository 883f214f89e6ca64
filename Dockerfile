# The CUDA image: make image, or docker build --tag eioku-ml .
# The CPU image:  make image BASE=ubuntu:24.04 TORCH_BACKEND=cpu, or the same names as --build-arg
#
# BASE is a Debian or Ubuntu whose python3 is 3.10 to 3.13.
#
# The frame pool lives in /dev/shm, and Docker's default of 64 MB is too small: run with
# --shm-size=3g for one device, and 2 GB more for each further one. See compose.yaml.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE} AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 eioku \
    && useradd --create-home --uid 10001 --gid 10001 eioku \
    && mkdir --parents /models /media \
    && chown eioku:eioku /models

# The dependencies come before the source, so that a change of the code does not install them again.
FROM runtime AS dependencies
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements/install requirements/uv.txt requirements/build.txt \
    requirements/service.txt requirements/torch.txt requirements/rapidocr.txt requirements/
RUN python3 -m venv uv \
    && uv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/uv.txt
# Empty: the package index's own torch, which brings CUDA.
ARG TORCH_BACKEND=
RUN python3 -m venv --without-pip /opt/venv \
    && UV_NO_CACHE=1 requirements/install uv/bin/uv /opt/venv/bin/python rapidocr

FROM dependencies AS application
COPY pyproject.toml README.md LICENSE ./
COPY ipc ipc
COPY server server
COPY gpu_workers gpu_workers
RUN uv/bin/uv pip install --no-cache --python /opt/venv/bin/python --target /app \
    --no-deps --no-build-isolation --compile-bytecode .

FROM runtime
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=application /app /app
COPY LICENSE /app/
WORKDIR /app
USER 10001:10001
ENV HOST=0.0.0.0 \
    PORT=8001 \
    MODEL_CACHE_DIR=/models \
    MEDIA_ROOTS=/media \
    PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
# A new named volume takes the owner of this folder, so the service can write to it.
VOLUME /models
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# The service finishes what is in flight for up to 30 s after SIGTERM: docker stop --time 40
STOPSIGNAL SIGTERM
CMD ["python", "-m", "server"]
