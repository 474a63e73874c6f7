# An image for jobs of CI engines: doit, git and bundlepipe, without root.
#   docker build -t bundlepipe .
# Images FROM it can add what a pipeline needs besides, such as kubectl.

ARG PYTHON_IMAGE=python:3.13-slim

# Just what the package is made of, so that other changes of the checkout change nothing.
FROM scratch AS source
COPY pyproject.toml README.md LICENSE /
COPY bundlepipe /bundlepipe/
COPY schemas /schemas/

FROM ${PYTHON_IMAGE} AS installed
COPY --from=source / /source/
RUN python3 -m venv /opt/bundlepipe && /opt/bundlepipe/bin/pip install --no-cache-dir /source

FROM ${PYTHON_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    # Engines check out as another user than that of the job.
    && git config --system --add safe.directory '*' \
    && useradd --create-home --uid 1000 bundlepipe
COPY --from=installed /opt/bundlepipe /opt/bundlepipe
ENV PATH=/opt/bundlepipe/bin:$PATH
USER 1000:1000
WORKDIR /home/bundlepipe
# No entry point: engines start a shell.
CMD ["bundlepipe", "help"]
