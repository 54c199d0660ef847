"""The result of a backend's get_requires_for_build_wheel, if it is proven without running the hook."""

from msgspec.structs import replace
from packaging.version import Version

from deep_lock.models.build_system import Hook, HookAnswer, SdistFacts
from deep_lock.sdist import missing_modules
from deep_lock.sdist.backends import constant, flit, hatch, maturin, meson, pdm, scikit_build, setuptools
from deep_lock.sdist.backends.rule import Declared, Environment, Rule, Source, UnprovenError, unknown
from deep_lock.targets.target import Target

RULES = {
    backend: rule
    for module in (constant, flit, hatch, maturin, meson, pdm, scikit_build, setuptools)
    for rule in module.RULES
    for backend in rule.backends
}
"""Value of build-backend to the rule for it."""


def declare(source: Source) -> tuple[Declared, bool]:
    """Return what the sdist's own configuration makes the hook require, and whether the sdist is its own backend.

    Raises UnprovenError.
    """
    backend, in_tree = source.build_system.backend, bool(source.build_system.backend_path)
    rule = RULES.get(backend)
    if rule is None:
        where = " inside the sdist" if in_tree else ""
        raise UnprovenError(f"no rule for the code of the backend {backend}{where}")
    itself = in_tree and source.name == rule.distribution
    if in_tree and not itself:
        raise UnprovenError(f"the backend {backend} is the sdist's own code")
    if rule.only_itself and not itself:
        raise UnprovenError(f"{backend} builds {rule.distribution} only")
    return rule.declare(source), itself


def with_added_requirements(facts: SdistFacts, names: tuple[str, ...]) -> SdistFacts:
    """Return the facts where these projects, which the sdist does not require, are in the build environment too.

    A plugin of setuptools acts on its own, and may change what setup.py proves: then that is a guess.
    """
    plugin = setuptools.find_plugin(names) if facts.build_system.backend in setuptools.BACKENDS else ""
    if not plugin:
        return facts
    return _doubted(
        facts, f"{plugin}, which extra-build-requires adds, might be a plugin that makes setuptools require more"
    )


def with_config_settings(facts: SdistFacts) -> SdistFacts:
    """Return the facts where the user sets config settings: what a backend does by default is a guess then."""
    return _doubted(facts, "config-settings are set for its backend, and every rule is about a backend without them")


def _doubted(facts: SdistFacts, reason: str) -> SdistFacts:
    if facts.metadata_source == "static":
        facts = replace(facts, metadata=None, metadata_source="", guess=facts.metadata)
    if facts.declared_hook is None:
        return facts
    return replace(facts, declared_hook=None, hook_reason=reason)


def answer(facts: SdistFacts, target: Target, *, environment: Environment, hook: Hook = "wheel") -> HookAnswer:
    """Return the hook's answer on a target: ``static`` where a rule proves it, else ``assumed`` with what is known.

    ``environment`` has every pin of the resolved build environment, the backend's among them. An sdist that is its own
    backend needs none.
    """
    found = _answer(facts, target, environment=environment, hook=hook)
    if not facts.imports:
        return found
    minor = int(target.environment["python_version"].partition(".")[2])
    lacks = missing_modules.missing_modules(facts.imports, environment, minor)
    if not lacks:
        return found
    reason = missing_modules.describe_missing(lacks, environment, minor)
    return replace(unknown(reason, found.requires or ()), lacks=lacks)


def _answer(facts: SdistFacts, target: Target, *, environment: Environment, hook: Hook) -> HookAnswer:
    """Return the answer of a hook whose code can run."""
    rule = RULES.get(facts.build_system.backend)
    if rule is None:
        return unknown(facts.hook_reason, facts.known_hook)
    version = Version(facts.self_hosted) if facts.self_hosted else environment.get(rule.distribution)
    if version is None:
        absent = f"the build environment has no {rule.distribution}, the project of the backend"
        return unknown(facts.hook_reason if facts.declared_hook is None else absent, facts.known_hook)
    refusal = _unread(rule, version, facts)
    if facts.declared_hook is None:
        known = facts.known_hook
        if not refusal and facts.build_system.backend in setuptools.BACKENDS and not facts.build_system.backend_path:
            known = rule.complete(known, version, target, environment).requires or ()
        return unknown(facts.hook_reason, known)
    if refusal:
        return unknown(refusal, facts.known_hook)
    found = rule.complete(facts.declared_hook, version, target, environment)
    return found if hook == "wheel" else _editable(rule, version, found)


def _editable(rule: Rule, version: Version, wheel: HookAnswer) -> HookAnswer:
    if wheel.requires is None or not rule.editable:
        return wheel
    for own in rule.editable:
        if own.read.contains(version, prereleases=True):
            return replace(wheel, requires=(*wheel.requires, *own.requires))
    reason = f"no rule for what {rule.distribution} {version} requires for an editable installation"
    return unknown(reason, wheel.requires)


def _unread(rule: Rule, version: Version, facts: SdistFacts) -> str:
    if not rule.read.contains(version, prereleases=True):
        return f"no rule for the code of {rule.distribution} {version} (only for {rule.read})"
    if facts.hook_since and version < Version(facts.hook_since):
        return f"{rule.distribution} {version} reads its configuration differently from {facts.hook_since} and later"
    return ""
