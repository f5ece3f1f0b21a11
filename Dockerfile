# deploytool in a container: docker build -t deploytool . && docker run --rm -v "$PWD":/work deploytool check net.nir
# With extras: docker build --build-arg EXTRAS=onnx,datasets -t deploytool .
FROM python:3.11-slim

ARG EXTRAS=""

COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY deploytool /src/deploytool

RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c /src/constraints.txt "/src${EXTRAS:+[$EXTRAS]}" \
    && useradd --create-home deploytool \
    && mkdir /work \
    && chown deploytool /work

USER deploytool
WORKDIR /work
ENTRYPOINT ["deploytool"]
CMD ["--help"]
