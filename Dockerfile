# The page of compose.yaml. Its small models compute on the processor; torch brings GPU libraries of
# 6 GB unless PIP_EXTRA_INDEX_URL (--build-arg) names where builds for processors are.
FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY index index
COPY rag rag
RUN pip install --no-cache-dir "$(grep '^torch==' constraints.txt)" \
    && pip install --no-cache-dir --constraint constraints.txt '.[chat,milvus,serve]'
ENTRYPOINT ["rag"]
