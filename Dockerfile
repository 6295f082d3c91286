# Two images. `server` holds the Prefect server and the command, `worker` everything that flows need, also torch:
#   docker build --target server -t needledrop-server .
#   docker build --target worker -t needledrop-worker .
# PyAV brings the codecs and deno comes as a wheel, so there is no system package in either.
FROM python:3.11-slim AS base
WORKDIR /app
ENV PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
# Folders that become volumes take their owner from here.
RUN useradd --create-home --uid 1000 needledrop \
    && mkdir -p /app/lake /var/cache/needledrop /data && chown needledrop /app/lake /var/cache/needledrop
COPY constraints.txt ./
# Prefect with its driver for Postgres, and what the command imports when it starts.
RUN pip install --no-cache-dir -c constraints.txt setuptools prefect asyncpg typer duckdb fsspec numpy pyarrow

FROM base AS server
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .
RUN python -m compileall -q .
# The server copies its pages to this folder when it starts, and it may not write among its packages.
ENV PREFECT_UI_STATIC_DIRECTORY=/home/needledrop/ui
USER needledrop
CMD ["python", "-m", "needledrop.service.startup_and_health_checks", "server"]

# The names of all dependencies, in a file that is the same until one of them changes.
FROM base AS requirements
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; e = p['optional-dependencies']; \
    print(*p['dependencies'], *e['s3'], *e['dask'], sep='\n')" > requirements.txt

FROM base AS dependencies
# Which build of torch: the address of an index that has it, such as that of the builds for CPUs, a tenth in size.
# Empty: the build that the default index has.
ARG TORCH_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=$TORCH_INDEX_URL
COPY --from=requirements /app/requirements.txt ./
RUN pip install --no-cache-dir -c constraints.txt -r requirements.txt

FROM dependencies AS worker
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .
RUN python -m compileall -q .
ENV PYTHONSAFEPATH=1 NEEDLEDROP_HOME=/app NEEDLEDROP_LAKE=/app/lake
# On the volume: copies of objects, downloads in progress, weights of text models, compiled kernels.
ENV NEEDLEDROP_CACHE=/var/cache/needledrop HF_HOME=/var/cache/needledrop/models NUMBA_CACHE_DIR=/var/cache/needledrop/numba
USER needledrop
CMD ["needledrop", "worker"]
