"""Short texts about one subject each, for `deep-lock help TOPIC`. Each line fits 80 columns."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class Topic(Struct, frozen=True, kw_only=True):
    """A text; ``summary`` is its line in the list of topics."""

    summary: str
    text: str


TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "builds": Topic(
            summary="builds from source in a lock",
            text="""\
A package without a wheel for a target must be built there from its sdist. The
build needs packages too: the build backend and its dependencies. deep-lock
locks the environment of each build, and of the builds of these packages.

Only the build backend knows all build requirements. The lock records how they
are known (the evidence):
  static     a rule for the backend proves them; no code ran
  observed   the hook of the backend ran in the sandbox
  assumed    the hook could not run: only the declared ones are locked

  deep-lock tree --build                 show each build and its environment
  deep-lock why setuptools               show what requires a build tool
  deep-lock lock --build-scope all       lock a build of every package
  deep-lock lock --require-evidence      fail if requirements are assumed

If a build needs a package that it does not declare, add it in pyproject.toml:
  [tool.deep-lock.extra-build-requires]
  image-tools = ["numpy"]
""",
        ),
        "configuration": Topic(
            summary="[tool.deep-lock] in pyproject.toml",
            text="""\
The table [tool.deep-lock] of pyproject.toml, or a file deep-lock.toml next to
it with the same keys at the top level. If there is a deep-lock.toml, the table
is not read. Options of the command line override keys.

  [tool.deep-lock]
  python-versions = ["3.12", "3.13"]
  platforms = ["linux", "macos"]
  exclude-newer = "P7D"
  build-constraints = ["setuptools<81"]

Most options have a key with the same name. An unknown key is an error, and the
message shows the most similar known key.

  deep-lock init                         write a table for the project
""",
        ),
        "environment": Topic(
            summary="variables that deep-lock reads",
            text="""\
Each option of a command can be set by DEEP_LOCK_ and its long name:
DEEP_LOCK_EXCLUDE_NEWER=P7D. Set an option without a value by 1. Separate
several values by spaces, and several files as on PATH.

  DEEP_LOCK_CACHE_DIR                the folder of the cache
  DEEP_LOCK_INDEX_NAME_USERNAME      credentials of the index NAME
  DEEP_LOCK_INDEX_NAME_PASSWORD        (DEFAULT is the default index)
  NETRC                              file with credentials (default: ~/.netrc)
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY  proxies
  SSL_CERT_FILE, SSL_CERT_DIR        certificate authorities to trust
  NO_COLOR, FORCE_COLOR              output without, or with, colors
  CI                                 no progress line

Index settings of other tools, such as PIP_INDEX_URL, have no effect without
--index-from.
""",
        ),
        "exit-codes": Topic(
            summary="what the exit code of a run means",
            text="""\
  0    done
  1    you must act: the lock is stale or breaks the policy, no set of versions
       fits, or a check has findings
  2    invalid usage, configuration or input, or a lock that cannot be read
  3    network or index failure, or this machine lacks memory, open files or
       disk space: a CI job may try again
  4    refused for safety: malware, a wrong hash, an unsafe archive, required
       evidence is missing
  70   internal error of deep-lock: report it
  130  interrupted (143 by SIGTERM, 129 by SIGHUP)

A failed run does not change the lock. With --format json, the document of a
failed run contains the code, the message and the hint.
""",
        ),
        "files": Topic(
            summary="which files are read and written, and what to commit",
            text="""\
  deep.lock         the lock: commit it. It is a valid pylock (PEP 751), with
                    builds in its table [tool.deep-lock]
  pyproject.toml    requirements, and the table [tool.deep-lock]; also read:
                    setup.cfg, requirements files, scripts (PEP 723)
  deep-lock.toml    the configuration, instead of the table
  supply-chain/     who reviewed which files (deep-lock vet): commit it

A lock is written atomically: a failed run does not change the old file. You can
delete the cache at any time.

  deep-lock lock --check                 exit with 1 if deep.lock is stale
  deep-lock git-setup                    show and merge locks by package
  deep-lock cache dir                    the folder of the cache
""",
        ),
        "indexes": Topic(
            summary="private indexes, credentials, and the index of a package",
            text="""\
Indexes are used in their order. All versions of a package come from the first
index that has it, so a public package cannot replace a private one. The default
index is the last one.

  [[tool.deep-lock.index]]
  name = "corp"
  url = "https://index.example/simple/"
  explicit = true                        only for packages in sources

  [tool.deep-lock.sources]
  our-library = {index = "corp"}

Credentials (the first of these that exists is used):
  DEEP_LOCK_INDEX_CORP_USERNAME and DEEP_LOCK_INDEX_CORP_PASSWORD,
  user:password@ in the URL, the netrc file,
  the keyring with --keyring-provider subprocess.
Credentials are sent only to their index, and are never written to a file.

The tables [[tool.uv.index]], [[tool.poetry.source]] and [[tool.pdm.source]] are
read too.
""",
        ),
        "sandbox": Topic(
            summary="how build backends run, and when they do not",
            text="""\
deep-lock calls a build backend only if no rule proves its result. The backend
runs in a sandbox: without network, without your files and without your
environment variables. Time, memory and disk space are limited.

  deep-lock doctor                       test the sandbox on this machine
  deep-lock lock --hooks static          call no backend
  deep-lock lock --hooks sandbox         call backends in a strong sandbox
                                         (the default)
  deep-lock lock --trust-hooks NAME      run the build code of this package
                                         without a sandbox; it then has all
                                         your permissions

Without a strong sandbox (Linux with Landlock or bubblewrap), no backend is
called. Only the declared build requirements are then locked, with a warning.
""",
        ),
        "targets": Topic(
            summary="the Python versions and platforms of a lock",
            text="""\
A target is a Python version on a platform: cp313-x86_64-manylinux_2_28. A lock
has pins for each of its targets. It is not valid for any other target.

The default is each maintained CPython that requires-python allows, on Linux
(x86_64 and aarch64), macOS (arm64) and Windows (x86_64).
The targets of a lock do not change until --upgrade.

  deep-lock lock --python-version 3.13 --platform linux --platform host
                                         set all Pythons and platforms
  deep-lock lock --add-python 3.14       add a Python to those of the lock
  deep-lock lock --add-platform windows  add a platform

linux, macos and windows are the default platforms of a system. Others have
names such as x86_64-musllinux_1_2, aarch64-manylinux_2_39 or x86_64-macos_13.

Messages have a short form: "cp312-cp315, all platforms"; "15 of 20: all but
Windows". A default target that a package does not support is left out with a
warning; one that you name is an error.
""",
        ),
        "upgrading": Topic(
            summary="how to upgrade packages",
            text="""\
deep-lock lock keeps the pins of deep.lock if they still fit. A new version on
the index does not change the lock.

  deep-lock outdated                     show newer versions and their limits
  deep-lock lock -P jinja2               upgrade one package, in builds too
  deep-lock lock -P jinja2==3.1.6        upgrade it to this version
  deep-lock lock -P setuptools --in-build psycopg2
                                         upgrade it in one build only
  deep-lock lock --upgrade               upgrade all packages
  deep-lock lock --exclude-newer P7D     ignore files of the last seven days
  deep-lock diff main                    show changes, most dangerous first
""",
        ),
    }
)
