# CPU image: docker build -t distreal-sim . && docker run --rm --shm-size 1g -v "$PWD/runs:/work/runs" distreal-sim
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)" \
    && pip install --no-cache-dir -c constraints.txt .

WORKDIR /work
ENTRYPOINT ["distreal-sim"]
CMD ["demo"]
