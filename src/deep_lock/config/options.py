"""The options of one run, as the command line (or a library user) gives them.

None and empty mean: not given; then the configuration decides, and after it a default (`locking.settings`). The
environment, the clock and the folders of the user are options too, so that no layer below the command line reads them.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from deep_lock.files import Replacement
from deep_lock.models.resolution import AttestationsMode, BuildScope, Prereleases, ResolutionMode

Hooks = Literal["static", "sandbox", "trust"]


class InputOptions(Struct, frozen=True, kw_only=True):
    """What is locked."""

    folder: Path
    output: Path | None = None
    script: Path | None = None
    from_lock: Path | None = None
    """Another tool's lock, whose runtime pins are taken."""
    requirements: tuple[Path, ...] = ()
    constraints: tuple[Path, ...] = ()
    overrides: tuple[Path, ...] = ()
    build_constraints: tuple[Path, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    only_groups: tuple[str, ...] = ()
    no_default_groups: bool = False
    edited: Replacement | None = None
    """A pyproject.toml, of the project or of a member of its workspace, or the script, as the run edits it.

    It is read instead of the file, and written with the lock.
    """


class ResolveOptions(Struct, frozen=True, kw_only=True):
    """Which releases and files may be chosen, and for which targets."""

    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    added_pythons: tuple[str, ...] = ()
    """In addition to those of the lock, or to the default ones."""
    added_platforms: tuple[str, ...] = ()
    fork_strategy: Literal["newest", "fewest"] | None = None
    resolution: ResolutionMode | None = None
    prereleases: Prereleases | None = None
    exclude_newer: str | None = None
    exclude_newer_package: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    build_scope: BuildScope | None = None
    allow_wheel: tuple[str, ...] = ()
    build_resolution: Literal["shared", "highest"] | None = None
    observe: bool = False
    require_evidence: bool = False
    attestations: AttestationsMode | None = None


class HookOptions(Struct, frozen=True, kw_only=True):
    """Whose build code may run, and with which interpreters."""

    hooks: Hooks | None = None
    trust_hooks: tuple[str, ...] = ()
    """Projects whose backend may run unconfined."""
    interpreters: tuple[Path, ...] = ()


class UpgradeRow(Struct, frozen=True, kw_only=True):
    """A version that one environment of a lock gets, as a row of `deep-lock outdated` states it."""

    requirement: str
    """NAME==VERSION."""
    scope: Literal["runtime", "build"]
    build: str = ""
    """The project whose build it is."""
    build_version: str = ""
    """Its version; empty: the builds of all its versions."""
    targets: tuple[str, ...] = ()
    """Labels; none: all targets."""


class UpgradeOptions(Struct, frozen=True, kw_only=True):
    """Which pins of the previous lock are dropped."""

    everything: bool = False
    packages: tuple[str, ...] = ()
    """NAME or NAME==VERSION."""
    in_builds: tuple[str, ...] = ()
    """Projects: ``packages`` are upgraded in their build environments only; empty: everywhere."""
    rows: tuple[UpgradeRow, ...] = ()
    """What is upgraded in one environment each, in addition to ``packages``."""
    builds: bool = False
    accepted_files: tuple[str, ...] = ()
    """Names of files whose bytes may differ from those that are locked."""
    may_be_unused: bool = False
    """Whether the lock need not use ``packages`` and ``in_builds``: it is one of several that the run makes."""


class NetworkOptions(Struct, frozen=True, kw_only=True):
    """Where files come from, and how they are fetched."""

    default_index: str | None = None
    indexes: tuple[str, ...] = ()
    """URL or NAME=URL, in order of priority."""
    only_named: bool = False
    """Use no other index: without a default one, not the public one either."""
    index_strategy: Literal["first-index", "unsafe-best-match"] | None = None
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    offline: bool = False
    refresh: bool = False
    refresh_packages: tuple[str, ...] = ()
    ca_file: str | None = None
    insecure_hosts: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    """Hosts (``host`` or ``host:port``) that indexes and locks may name, also with a private address."""

    @property
    def plain_allowed_hosts(self) -> frozenset[str]:
        """The allowed hosts in lower case, an IPv6 address without brackets: as hosts of URLs are compared."""
        return frozenset(host.lower().replace("[", "").replace("]", "") for host in self.allowed_hosts)

    client_cert: str | None = None
    keyring_provider: Literal["disabled", "subprocess"] = "disabled"
    part_of_larger_run: bool = False
    """Whether other runs with the same clock (`RunContext.now`) use the cache folder at the same time.

    Then each page, metadata file and file is requested once for all of them, and a host that requests a wait gets none of
    their requests before its end.
    """
    remote_cache: str | None = None
    """The URL of a store of files that other machines use too, as fsspec has it."""
    remote_cache_read_only: bool = False
    requests_per_second: float | None = None
    """To one host, of all runs that use the cache folder and have this option."""
    max_requests: int | None = None
    """To one host at the same time, of the same runs."""


def network_with_hooks(network: NetworkOptions, hooks: HookOptions) -> NetworkOptions:
    """Return the options of a run with these hooks: one that runs build code without a sandbox does not write to the remote cache."""
    is_trusting = hooks.hooks == "trust" or bool(hooks.trust_hooks)
    return replace(network, remote_cache_read_only=True) if is_trusting else network


class RunContext(Struct, frozen=True, kw_only=True):
    """The machine, as the command line saw it."""

    cache_folder: Path
    now: datetime
    """Aware, UTC."""
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path | None = None
    checkout: Path | None = None
    """The checkout of a repository whose authors are not the user: what is in it names no other files of this machine."""


class LockOptions(Struct, frozen=True, kw_only=True):
    """Options of `locking.lock`."""

    inputs: InputOptions
    resolve: ResolveOptions = ResolveOptions()
    hooks: HookOptions = HookOptions()
    upgrade: UpgradeOptions = UpgradeOptions()
    verify_metadata: bool = False
    """Fetch the wheels that the targets take, and compare their metadata with those that the lock is made from."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class SelectionOptions(Struct, frozen=True, kw_only=True):
    """Which extras and groups of a lock are used. Without an option: all of them."""

    extras: tuple[str, ...] | Literal["all"] | None = None
    """() is none."""
    groups: tuple[str, ...] | Literal["all"] | None = None
    only_groups: tuple[str, ...] = ()
    """These groups, without the project's own dependencies and extras."""
    no_default_groups: bool = False


class FetchOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.fetch`."""

    lock: Path
    package: str = ""
    """The member of the workspace whose files are fetched; empty: all of the lock."""
    destination: Path
    runtime: bool = False
    build: bool = False
    """Neither or both of the two: run time and builds."""
    targets: tuple[str, ...] = ()
    """Labels of the lock, or "host"; none: all of them."""
    selection: SelectionOptions | None = None
    """None: no option selects anything."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class WheelhouseOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.wheelhouse`."""

    lock: Path
    package: str = ""
    """The member of the workspace whose wheels are wanted; empty: those of the whole lock."""
    destination: Path
    target: str = ""
    """A label of the lock, or "host"; empty: the target that an interpreter of this machine is."""
    selection: SelectionOptions = SelectionOptions()
    fetched: tuple[Path, ...] = ()
    """Folders that are searched first for files of the lock, such as `fetch` makes."""
    hooks: HookOptions = HookOptions()
    jobs: int | None = None
    """Builds at once. None: half of the processors of this machine, and as many as other machines can do."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class AdvisoryOptions(Struct, frozen=True, kw_only=True):
    """Where advisories come from. Nothing: the configuration decides."""

    databases: tuple[str, ...] = ()
    """Paths or URLs."""
    service: str = ""
    from_index: bool = False
    """Use what the indexes of the lock state about their releases."""
    max_age: timedelta | None = None
    """Of a database."""


class AuditOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.audit`."""

    lock: Path
    package: str = ""
    """The member of the workspace that is compared; empty: all of the lock."""
    folder: Path | None = None
    """That of the configuration; None: the folder of the lock."""
    sources: AdvisoryOptions = AdvisoryOptions()
    fail_on: Literal["any", "low", "medium", "high", "critical"] | None = None
    scope: Literal["runtime", "build", "all"] | None = None
    ignore: tuple[str, ...] = ()
    """IDs."""
    ignore_until_fixed: tuple[str, ...] = ()
    openvex: tuple[Path, ...] = ()
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class ExportOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.export`."""

    lock: Path
    package: str = ""
    """The member of the workspace that is exported; empty: the whole lock."""
    format: str
    """One of `operations.export.FORMATS`."""
    extras: tuple[str, ...] | Literal["all"] | None = None
    """None: the default of the format; () is none."""
    groups: tuple[str, ...] | Literal["all"] | None = None
    targets: tuple[str, ...] = ()
    """Labels of the lock; none: all of them."""
    build: str = ""
    """One build environment instead of the run time: NAME or NAME==VERSION of what is built there."""
    per_sdist: bool = False
    """Build constraints: a file for each sdist, even where several could share one."""
    index_options: bool = False
    """Requirements: name the indexes in the file."""
    output: Path | None = None
    """Where the one file will be written; without it and ``folder``: to stdout."""
    folder: Path | None = None
    """Where the files will be written, under the names that tools expect."""
    advisories: AuditOptions | None = None
    """CycloneDX: what the lock is compared with; None: the document has no vulnerabilities."""
    contents: "ContentsOptions | None" = None
    """CycloneDX, SPDX: read what the files of the lock bring; None: the document has only what the lock has."""


class InitOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.init`."""

    folder: Path
    script: Path | None = None
    own_file: bool = False
    """Write deep-lock.toml, also where there is a pyproject.toml."""
    today: date
    """In UTC."""


class PolicyOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.policy`."""

    lock: Path
    policy: Path | None = None
    """A file with a policy; without it the configuration next to the lock is used."""
    against: str | None = None
    """The previous lock: a file, or a git revision of ``lock``."""
    deep: bool = False
    """Fetch the wheels that are not at hand, for the rules on their contents."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class AcceptOptions(Struct, frozen=True, kw_only=True):
    """What `operations.accept` writes: an exception for a finding of `check`."""

    check: PolicyOptions
    id: str
    """RULE:NAME==VERSION, or RULE:NAME for every version."""
    until: date
    reason: str


class VetOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.vet_check`, `operations.vet_init` and `operations.vet_suggest`."""

    lock: Path
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class CertifyOptions(Struct, frozen=True, kw_only=True):
    """The audit that `operations.vet_certify` writes."""

    vet: VetOptions
    name: str
    version: str = ""
    """Empty: the only version in the lock."""
    base: str = ""
    """The version with which it was compared; empty: the whole files were read."""
    criteria: tuple[Literal["safe-to-build", "safe-to-run"], ...] = ()
    """None: what the lock needs."""
    who: str = ""
    """Empty: the name and the address in the configuration of git."""
    notes: str = ""
    files: tuple[str, ...] = ()
    """Names; none: all files of the release in the lock."""


class VerifyOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.verify` and `operations.outdated`."""

    lock: Path
    deep: bool = False
    """Fetch every file, and compare what the lock states with what its bytes state."""
    attestations: AttestationsMode = "record"
    """Compare the publishers that the lock records with those of the index, and verify the attestations."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class InstalledOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.verify_installed`."""

    lock: Path
    environment: Path
    """A virtual environment, a Python prefix, or a folder of packages."""
    target: str = ""
    """A label of the lock, or "host"; empty: the target of this machine that the environment's Python is."""
    selection: SelectionOptions = SelectionOptions()
    """What must be installed; without an option the project's dependencies, without extras and groups."""
    fetched: tuple[Path, ...] = ()
    """Folders that are searched first for wheels of the lock."""
    context: RunContext


class DiffOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.diff`."""

    old: str
    """A file, or a git revision of ``lock``; "" is HEAD."""
    new: str
    """As ``old``; "" is the file in the work tree."""
    lock: Path
    package: str = ""
    """Compare only the parts of this member of the workspace."""
    deep: bool = False
    """Read the contents of the wheels that are new; those that are not at hand are fetched."""
    sources: AdvisoryOptions = AdvisoryOptions()
    """Databases of advisories with which both locks are compared; without one they are not."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class ContentsOptions(Struct, frozen=True, kw_only=True):
    """How the files of a lock are read: those that are not at hand are fetched, unless ``network`` is offline."""

    network: NetworkOptions
    context: RunContext


class ReportOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.report`."""

    lock: Path
    package: str = ""
    """The member of the workspace; empty: the whole lock."""
    contents: ContentsOptions | None = None
    """Read what the files of the lock bring; None: the page has only what the lock has."""
    against: str = ""
    """A file, or a git revision of ``lock``, with which it is compared; "" is none."""
    sources: AdvisoryOptions = AdvisoryOptions()
    """Databases of advisories; without one the page has no vulnerabilities."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext | None = None
    """None: the page has only what the lock has, without ages, audits, advisories and an old lock."""


class VetImportOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.vet_import`. Without ``url`` and ``git`` imports that exist are refreshed."""

    lock: Path
    name: str = ""
    """Of the team; empty: all teams."""
    url: str = ""
    """The address, or the path, of the file of a team that is added."""
    git: str = ""
    """The repository of a team that is added."""
    ref: str = ""
    """A branch, a tag or a commit."""
    path: str = ""
    """In the repository; empty: where `vet init` writes it."""
    removed: str = ""
    """The team that is removed."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class VetDiffOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.vet_diff`."""

    name: str
    old: str
    """A version."""
    new: str
    """A version; "": the sdist and the wheel of the version ``old`` are compared."""
    lock: Path
    file: str = ""
    """The name of a file of the new release; "": any."""
    folder: Path | None = None
    """Where both files are unpacked."""
    network: NetworkOptions = NetworkOptions()
    context: RunContext


class ApplyOptions(Struct, frozen=True, kw_only=True):
    """Options of `operations.raise_bounds`."""

    check: VerifyOptions
    names: tuple[str, ...] = ()
    """Projects; none: every one that a bound holds back."""
    hooks: HookOptions = HookOptions()
