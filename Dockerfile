# Server and worker alike: the project with its pinned environment. PyAV brings the codecs, deno comes as a wheel.
FROM python:3.11-slim

WORKDIR /app
ENV PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false NEEDLEDROP_HOME=/app

# Dependencies first: they change less often than the code.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY needledrop/__init__.py needledrop/
RUN pip install --no-cache-dir -c constraints.txt -e '.[s3]'

COPY . .
# Again with the code there, for what the first install could not see; it brings no dependencies.
RUN pip install --no-cache-dir --no-deps -e .
RUN useradd --create-home needledrop && mkdir -p /app/lake && chown needledrop /app/lake
USER needledrop
