# hush on the CPU, in one folder of the image, as a user without rights:
#
#   docker build -t hush .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" hush denoise noisy.tif
#
# The readers of all files are in it; --build-arg EXTRAS=medical leaves most of them out.
FROM python:3.11-slim AS build
ARG EXTRAS=medical,signals,sets,astronomy,microscopy,camera
# PyPI's torch brings CUDA's libraries on Linux; this index has it without them.
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/hush \
    && /opt/hush/bin/pip install -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/hush/bin/pip install -c constraints.txt ".[$EXTRAS]"

FROM python:3.11-slim
COPY --from=build /opt/hush /opt/hush
# Whoever -u names has no home: caches go where everyone may write.
ENV PATH=/opt/hush/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --no-create-home --home-dir /tmp hush
USER 1000
WORKDIR /data
ENTRYPOINT ["hush"]
CMD ["--help"]
