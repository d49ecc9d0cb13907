# One image: the worker and what it needs, hash by hash. Config and secrets come from outside, the state lives in /data.
# `make image` gives it with the digest that the registry names for it.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/crmsync && /opt/crmsync/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY docs docs
COPY crmsync crmsync
COPY connectors connectors
RUN /opt/crmsync/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin crmsync \
    && install -d -o crmsync -g crmsync /data
COPY --from=build /opt/crmsync /opt/crmsync
ENV PATH=/opt/crmsync/bin:$PATH PYTHONUNBUFFERED=1 CRMSYNC_CONFIG=/data/crmsync.toml
USER crmsync
WORKDIR /data
VOLUME /data
# A backfill of a large portal takes its time: what fails before the start period is over does not count.
HEALTHCHECK --interval=5m --timeout=30s --start-period=2h --retries=3 CMD ["crmsync", "status", "--health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["crmsync"]
CMD ["run"]
