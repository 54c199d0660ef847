"""What a backend's get_requires_for_build_wheel would answer, as far as that is proven without running it."""

from msgspec.structs import replace
from packaging.utils import NormalizedName
from packaging.version import Version

from deep_lock.models.build_system import Hook, HookAnswer, SdistFacts
from deep_lock.sdist.backends import constant, flit, hatch, maturin, meson, pdm, scikit_build, setuptools
from deep_lock.sdist.backends.rule import Declared, Environment, Rule, Source, unknown
from deep_lock.targets.target import Target

_RULES = {
    backend: rule
    for module in (constant, flit, hatch, maturin, meson, pdm, scikit_build, setuptools)
    for rule in module.RULES
    for backend in rule.backends
}


def distribution_of(backend: str) -> NormalizedName | None:
    """Return the project whose version decides about a backend's hooks; None for a backend without a rule."""
    rule = _RULES.get(backend)
    return None if rule is None else rule.distribution


def declare(source: Source) -> tuple[Declared, bool]:
    """Return what the sdist's own configuration makes the hook ask for, and whether the sdist is its own backend."""
    backend, in_tree = source.build_system.backend, bool(source.build_system.backend_path)
    rule = _RULES.get(backend)
    if rule is None:
        where = " inside the sdist" if in_tree else ""
        return Declared(requires=None, reason=f"nobody read the code of the backend {backend}{where}"), False
    itself = in_tree and source.name == rule.distribution
    if in_tree and not itself:
        return Declared(requires=None, reason=f"the backend {backend} is the sdist's own code"), False
    if rule.only_itself and not itself:
        return Declared(requires=None, reason=f"{backend} builds {rule.distribution} only"), False
    return rule.declare(source), itself


def beside(facts: SdistFacts, names: tuple[str, ...]) -> SdistFacts:
    """Return the facts as they hold where these projects, which the sdist does not ask for, are in the environment too.

    A plugin of setuptools acts on its own, and may change what setup.py proves: then that is a guess.
    """
    plugin = setuptools.find_plugin(names) if facts.build_system.backend in setuptools.BACKENDS else ""
    if not plugin:
        return facts
    return _doubted(
        facts, f"{plugin}, which extra-build-requires adds, might be a plugin that asks setuptools for more"
    )


def with_config_settings(facts: SdistFacts) -> SdistFacts:
    """Return the facts as they hold where the user gives config settings: what a backend does by default is a guess."""
    return _doubted(facts, "config-settings are given to its backend, and every rule speaks of a backend without")


def _doubted(facts: SdistFacts, reason: str) -> SdistFacts:
    if facts.metadata_source == "static":
        facts = replace(facts, metadata=None, metadata_source="", guess=facts.metadata)
    if facts.declared_hook is None:
        return facts
    return replace(facts, declared_hook=None, hook_reason=reason)


def answer(
    facts: SdistFacts,
    backend_version: Version | None,
    target: Target,
    *,
    environment: Environment,
    hook: Hook = "wheel",
) -> HookAnswer:
    """Return the hook's answer on a target: ``static`` where a rule proves it, else ``assumed`` without a list.

    ``backend_version`` is the version of `distribution_of` the backend, None to look it up in ``environment``, which
    holds every pin of the resolved build environment. An sdist that is its own backend needs neither.
    """
    if facts.declared_hook is None:
        return unknown(facts.hook_reason)
    rule = _RULES[facts.build_system.backend]
    version = Version(facts.self_hosted) if facts.self_hosted else backend_version
    version = version or environment.get(rule.distribution)
    if version is None:
        return unknown(f"the build environment holds no {rule.distribution}, the project of the backend")
    refusal = _unread(rule, version, facts)
    if refusal:
        return unknown(refusal)
    found = rule.complete(facts.declared_hook, version, target, environment)
    return found if hook == "wheel" else _editable(rule, version, found)


def _editable(rule: Rule, version: Version, wheel: HookAnswer) -> HookAnswer:
    if wheel.requires is None or not rule.editable:
        return wheel
    for own in rule.editable:
        if own.read.contains(version, prereleases=True):
            return replace(wheel, requires=(*wheel.requires, *own.requires))
    return unknown(f"nobody read what {rule.distribution} {version} asks for to install in editable mode")


def _unread(rule: Rule, version: Version, facts: SdistFacts) -> str:
    if not rule.read.contains(version, prereleases=True):
        return f"nobody read the code of {rule.distribution} {version} (only {rule.read})"
    if facts.hook_since and version < Version(facts.hook_since):
        return f"{rule.distribution} {version} reads its configuration otherwise than {facts.hook_since} and later"
    return ""
