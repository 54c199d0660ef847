"""What identifies a build in a lock: two locks with the same digest build the same sdist in the same build environment."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from deep_lock.lockfile.index import Key
from deep_lock.lockfile.selection import BuiltArtifact, InstallPlan


def build_digests(plan: InstallPlan) -> Mapping[Key, str]:
    """Return the digest of each build of a plan, hex of sha256.

    It is that of the sdist, the subdirectory, the config settings, and the files of the build environment to full depth.
    How the build runs (the interpreter, the sandbox, SOURCE_DATE_EPOCH) is not part of it.
    """
    found: dict[Key, str] = {}
    for key, artifact in plan.ordered.items():
        if isinstance(artifact, BuiltArtifact):
            found[key] = _digest(artifact, found)
        else:
            found[key] = artifact.wheel.sha256
    return {key: digest for key, digest in found.items() if isinstance(plan.ordered[key], BuiltArtifact)}


def _digest(artifact: BuiltArtifact, known: Mapping[Key, str]) -> str:
    settings = msgspec.json.encode(artifact.config_settings).decode()
    parts = [
        "build 1",
        f"sdist {artifact.sdist.sha256}",
        f"folder {artifact.subdirectory}",
        f"config-settings {settings}",
        *sorted(f"{' '.join(own)} {known[own]}" for own in artifact.needed),
    ]
    return sha256("\n".join(parts).encode()).hexdigest()
