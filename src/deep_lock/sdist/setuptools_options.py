"""The four setuptools options that make requirements, as static readers found them."""

import re
from collections.abc import Mapping

from msgspec import Struct, field
from packaging.utils import NormalizedName, canonicalize_name

from deep_lock.errors import LimitExceeded, RequirementInvalid
from deep_lock.models.metadata import MAX_REQUIRES_DIST, Metadata
from deep_lock.sdist.pyproject import parse_requirements, with_extra

INSTALL = "install_requires"
EXTRAS = "extras_require"
SETUP = "setup_requires"
PYTHON = "python_requires"
OPTIONS = (INSTALL, EXTRAS, SETUP, PYTHON)


class SetuptoolsOptions(Struct, frozen=True, kw_only=True):
    """The options, empty where they are not set, and the reason for each that is not proven.

    The value of an option that is not proven is the part that can be read.
    """

    install_requires: tuple[str, ...] = ()
    extras_require: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(key, requirements); a key is "extra", "extra:marker" or ":marker"."""
    setup_requires: tuple[str, ...] = ()
    python_requires: str = ""
    unproven: Mapping[str, str] = field(default_factory=dict)
    """Option to reason."""


def all_unproven(reason: str) -> SetuptoolsOptions:
    """Return options of which none is known."""
    return SetuptoolsOptions(unproven=dict.fromkeys(OPTIONS, reason))


def merge_options(script: SetuptoolsOptions, config: SetuptoolsOptions) -> SetuptoolsOptions:
    """Return what setuptools makes of setup.py and setup.cfg together.

    An argument of setup() that is not empty wins over the file
    (setuptools.config.setupcfg.ConfigHandler.__setitem__, read in 40.8 to 84.2).
    """
    unproven = {}
    for option in OPTIONS:
        if option in script.unproven:
            unproven[option] = script.unproven[option]
        elif not getattr(script, option) and option in config.unproven:
            unproven[option] = config.unproven[option]
    return SetuptoolsOptions(
        install_requires=script.install_requires or config.install_requires,
        extras_require=script.extras_require or config.extras_require,
        setup_requires=script.setup_requires or config.setup_requires,
        python_requires=script.python_requires or config.python_requires,
        unproven=unproven,
    )


_COMMENT = re.compile(r"(?:^|\s)#.*")


def split_lines(text: str) -> tuple[str, ...] | None:
    """Return the requirements of a text, one a line, without comments; None where a line is something else."""
    lines = [cleaned for line in text.splitlines() if (cleaned := _COMMENT.sub("", line).strip())]
    return tuple(lines) if parse_requirements(tuple(lines)) is not None else None


def options_requires_dist(
    install_requires: tuple[str, ...], extras_require: tuple[tuple[str, tuple[str, ...]], ...]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return (Requires-Dist texts, extras); None where one of them is not valid."""
    found = list(install_requires)
    extras: dict[str, None] = {}
    try:
        for key, texts in extras_require:
            name, _, marker = key.partition(":")
            extra = canonicalize_name(name.strip()) if name.strip() else ""
            if extra:
                extras[extra] = None
            found.extend(with_extra(text, extra, marker.strip()) for text in texts)
    except (RequirementInvalid, LimitExceeded):
        return None
    return (tuple(found), tuple(extras)) if parse_requirements(tuple(found)) is not None else None


_SECTION = re.compile(r"\[([^:\]]*)(?::(.*))?\]\Z")


def parse_requires_txt(raw: bytes, name: NormalizedName, version: str) -> Metadata | None:
    """Return the requirements as metadata; None where the file is malformed. It is a guess, and no proof."""
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
    if len(requires_dist) > MAX_REQUIRES_DIST or parse_requirements(tuple(requires_dist)) is None:
        return None
    return Metadata(
        name=name,
        version=version,
        metadata_version="1.0",
        requires_dist=tuple(requires_dist),
        provides_extra=tuple(extras),
    )
