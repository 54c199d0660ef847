"""``*.egg-info/requires.txt``, setuptools' own format: sections ``[extra:marker]`` with one requirement a line."""

import re

from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.build.pyproject_file import read_requirements, with_extra
from deep_lock.errors import LimitExceeded, RequirementInvalid
from deep_lock.model.metadata import MAX_REQUIRES_DIST, Metadata

_SECTION = re.compile(r"\[([^:\]]*)(?::(.*))?\]\Z")


def parse_requires_txt(raw: bytes, name: NormalizedName, version: str) -> Metadata | None:
    """Return the requirements as metadata; None where the file is malformed. Good for a guess, not for a proof."""
    requires_dist: list[str] = []
    extras: dict[NormalizedName, None] = {}
    extra, marker = "", ""
    try:
        for line in raw.decode("utf-8", "replace").splitlines():
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if section := _SECTION.match(text):
                extra, marker = canonicalize_name(section[1]) if section[1] else "", section[2] or ""
                if extra:
                    extras[canonicalize_name(extra)] = None
                continue
            requires_dist.append(with_extra(text, extra, marker))
    except (RequirementInvalid, LimitExceeded):
        return None
    if len(requires_dist) > MAX_REQUIRES_DIST or read_requirements(tuple(requires_dist)) is None:
        return None
    return Metadata(
        name=name,
        version=version,
        metadata_version="1.0",
        requires_dist=tuple(requires_dist),
        provides_extra=tuple(extras),
    )
