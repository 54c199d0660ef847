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
            summary="what a lock knows about builds from source",
            text="""\
A package without a wheel for a target must be built there from its sdist. The
build needs packages too: the build backend, and what this requires. deep-lock
locks the environment of each build, and of the builds below it.

How the requirements that only the backend knows are known (the evidence):
  static     a rule for the backend proves them; no code was run
  observed   the backend was called, in the sandbox
  assumed    it could not be called: only the declared ones are locked

  deep-lock tree --build                 each build, its environment below it
  deep-lock why setuptools               what brings a build tool in
  deep-lock lock --build-scope all       lock a build for every package
  deep-lock lock --require-evidence      fail where something is assumed

A build that lacks a package: add it in pyproject.toml.
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

The key of an option has its long name in most cases. An unknown key is an error
that names the most similar known one.

  deep-lock init                         write a table that fits the project
""",
        ),
        "environment": Topic(
            summary="variables that deep-lock reads",
            text="""\
Each option of a command can be set by DEEP_LOCK_ and its long name:
DEEP_LOCK_EXCLUDE_NEWER=P7D. A switch is set by 1. Several values are separated
by spaces, several files as on PATH.

  DEEP_LOCK_CACHE_DIR                the folder of the cache
  DEEP_LOCK_INDEX_NAME_USERNAME      login of the index with this name
  DEEP_LOCK_INDEX_NAME_PASSWORD        (DEFAULT is the default index)
  NETRC                              file with logins, instead of ~/.netrc
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY  proxies
  SSL_CERT_FILE, SSL_CERT_DIR        certificate authorities to trust
  NO_COLOR, FORCE_COLOR              output without, or with, colors
  CI                                 no progress line that is drawn again

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
       evidence that is missing
  70   internal error of deep-lock: report it
  130  interrupted (143 by SIGTERM, 129 by SIGHUP)

A failed run leaves the lock as it was. With --format json, the document of a
failed run has the code, the message and the hint.
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
  supply-chain/     who looked at which files (deep-lock vet): commit it

A lock is written at once and as a whole: a failed run leaves the old file.
The cache can be deleted at any time.

  deep-lock lock --check                 exit 1 if deep.lock is stale
  deep-lock git-setup                    show and merge locks by package
  deep-lock cache dir                    the folder of the cache
""",
        ),
        "indexes": Topic(
            summary="private indexes, logins, and which index has a package",
            text="""\
Indexes are searched in their order, and the first one that has a project
supplies all of its versions: a public index cannot shadow a private project.
The default index comes last.

  [[tool.deep-lock.index]]
  name = "corp"
  url = "https://index.example/simple/"
  explicit = true                        only for projects of sources

  [tool.deep-lock.sources]
  our-library = {index = "corp"}

Logins, the first one that exists:
  DEEP_LOCK_INDEX_CORP_USERNAME and DEEP_LOCK_INDEX_CORP_PASSWORD,
  user:password@ in the URL, the netrc file,
  the keyring with --keyring-provider subprocess.
A login is sent to its index only, and is written to no file.

The tables [[tool.uv.index]], [[tool.poetry.source]] and [[tool.pdm.source]] are
read too.
""",
        ),
        "sandbox": Topic(
            summary="how build backends run, and when they do not",
            text="""\
To lock, deep-lock calls a build backend only where no rule proves what it would
return. It runs in a sandbox: without a network, without your files and without
your environment variables, with limits for time, memory and disk space.

  deep-lock doctor                       the level of the sandbox here
  deep-lock lock --hooks static          call no backend
  deep-lock lock --hooks sandbox         call backends in a strong sandbox
                                         (the default)
  deep-lock lock --trust-hooks NAME      run the build code of this project
                                         without a sandbox: it can do all that
                                         you can

Without a strong sandbox (Linux with Landlock or bubblewrap) no backend is
called: the declared build requirements are locked, with a warning.
""",
        ),
        "targets": Topic(
            summary="for which Pythons and platforms a lock is",
            text="""\
A target is a Python version on a platform: cp313-x86_64-manylinux_2_28. A lock
has pins for each of its targets, and makes no statement about others.

Without options: each CPython that requires-python admits, is released and is
maintained, on Linux (x86_64 and aarch64), macOS (arm64) and Windows (x86_64).
The targets of a lock stay until --upgrade.

  deep-lock lock --python-version 3.13 --platform linux --platform host
                                         name all Pythons and platforms
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
            summary="how versions change, and how they do not",
            text="""\
deep-lock lock keeps the pins of deep.lock as long as they fit: a new version on
the index changes nothing.

  deep-lock outdated                     what is newer, and what holds it back
  deep-lock lock -P jinja2               upgrade one package, in builds too
  deep-lock lock -P jinja2==3.1.6        to this version
  deep-lock lock -P setuptools --in-build psycopg2
                                         only in the build of psycopg2
  deep-lock lock --upgrade               upgrade all packages
  deep-lock lock --exclude-newer P7D     use nothing younger than seven days
  deep-lock diff main                    what changed, the most dangerous first
""",
        ),
    }
)
