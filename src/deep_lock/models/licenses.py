"""Licence expressions of releases (PEP 639), and which licences meet them."""

import re
from collections import deque
from collections.abc import Iterable, Mapping

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_OSI = "License :: OSI Approved :: "
_CLASSIFIED: Mapping[str, tuple[str, ...]] = {
    "License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": ("CC0-1.0",),
    f"{_OSI}Academic Free License (AFL)": ("AFL-1.1", "AFL-1.2", "AFL-2.0", "AFL-2.1", "AFL-3.0"),
    f"{_OSI}Apache Software License": ("Apache-2.0",),
    f"{_OSI}BSD License": ("BSD-2-Clause", "BSD-3-Clause"),
    f"{_OSI}Blue Oak Model License (BlueOak-1.0.0)": ("BlueOak-1.0.0",),
    f"{_OSI}Boost Software License 1.0 (BSL-1.0)": ("BSL-1.0",),
    f"{_OSI}Common Development and Distribution License 1.0 (CDDL-1.0)": ("CDDL-1.0",),
    f"{_OSI}Eclipse Public License 1.0 (EPL-1.0)": ("EPL-1.0",),
    f"{_OSI}Eclipse Public License 2.0 (EPL-2.0)": ("EPL-2.0",),
    f"{_OSI}European Union Public Licence 1.1 (EUPL 1.1)": ("EUPL-1.1",),
    f"{_OSI}European Union Public Licence 1.2 (EUPL 1.2)": ("EUPL-1.2",),
    f"{_OSI}GNU Affero General Public License v3": ("AGPL-3.0-only",),
    f"{_OSI}GNU Affero General Public License v3 or later (AGPLv3+)": ("AGPL-3.0-or-later",),
    f"{_OSI}GNU General Public License v2 (GPLv2)": ("GPL-2.0-only",),
    f"{_OSI}GNU General Public License v2 or later (GPLv2+)": ("GPL-2.0-or-later",),
    f"{_OSI}GNU General Public License v3 (GPLv3)": ("GPL-3.0-only",),
    f"{_OSI}GNU General Public License v3 or later (GPLv3+)": ("GPL-3.0-or-later",),
    f"{_OSI}GNU Lesser General Public License v2 (LGPLv2)": ("LGPL-2.0-only",),
    f"{_OSI}GNU Lesser General Public License v2 or later (LGPLv2+)": ("LGPL-2.0-or-later",),
    f"{_OSI}GNU Lesser General Public License v3 (LGPLv3)": ("LGPL-3.0-only",),
    f"{_OSI}GNU Lesser General Public License v3 or later (LGPLv3+)": ("LGPL-3.0-or-later",),
    f"{_OSI}Historical Permission Notice and Disclaimer (HPND)": ("HPND",),
    f"{_OSI}ISC License (ISCL)": ("ISC",),
    f"{_OSI}MIT License": ("MIT",),
    f"{_OSI}MIT No Attribution License (MIT-0)": ("MIT-0",),
    f"{_OSI}Mozilla Public License 1.0 (MPL)": ("MPL-1.0",),
    f"{_OSI}Mozilla Public License 1.1 (MPL 1.1)": ("MPL-1.1",),
    f"{_OSI}Mozilla Public License 2.0 (MPL 2.0)": ("MPL-2.0",),
    f"{_OSI}Mulan Permissive Software License v2 (MulanPSL-2.0)": ("MulanPSL-2.0",),
    f"{_OSI}PostgreSQL License": ("PostgreSQL",),
    f"{_OSI}Python License (CNRI Python License)": ("CNRI-Python",),
    f"{_OSI}Python Software Foundation License": ("PSF-2.0",),
    f"{_OSI}SIL Open Font License 1.1 (OFL-1.1)": ("OFL-1.1",),
    f"{_OSI}The Unlicense (Unlicense)": ("Unlicense",),
    f"{_OSI}Universal Permissive License (UPL)": ("UPL-1.0",),
    f"{_OSI}University of Illinois/NCSA Open Source License": ("NCSA",),
    f"{_OSI}Zero-Clause BSD (0BSD)": ("0BSD",),
    f"{_OSI}Zope Public License": ("ZPL-1.1", "ZPL-2.0", "ZPL-2.1"),
    f"{_OSI}zlib/libpng License": ("Zlib",),
}
"""The licences that a classifier can mean, by the list of PEP 639; Apache and zlib as they are used."""
_GENERAL = frozenset({"License :: OSI Approved", "License :: DFSG approved"})
"""Classifiers that name no licence."""

_WORD = re.compile(r"[()]|[^()\s]+")


def canonical_license(text: str | None) -> str | None:
    """Return an SPDX expression in its canonical form; None for any other text."""
    try:
        return str(canonicalize_license_expression(text)) if text else None
    except InvalidLicenseExpression:
        return None


def classified_licenses(classifiers: Iterable[str]) -> frozenset[str]:
    """Return every licence that classifiers can mean; none where one of them names no known licence.

    A classifier can be for several licences, and whether all of several classifiers apply or one of them is not stated.
    """
    named = [text for text in classifiers if text not in _GENERAL]
    if not all(text in _CLASSIFIED for text in named):
        return frozenset()
    return frozenset(name for text in named for name in _CLASSIFIED[text])


def is_met(expression: str, allowed: frozenset[str]) -> bool:
    """Whether allowed licences alone meet a canonical expression: OR is a choice, AND is none.

    ``allowed`` are canonical identifiers, each with its exception where it has one: "A WITH B".
    """
    return _either(deque(_WORD.findall(expression)), allowed)


def _either(words: deque[str], allowed: frozenset[str]) -> bool:
    """Read "A OR B OR ..." from the front. Canonical expressions are well-formed, and nest less than Python's parser does."""
    met = _every(words, allowed)
    while words and words[0] == "OR":
        words.popleft()
        met = _every(words, allowed) or met
    return met


def _every(words: deque[str], allowed: frozenset[str]) -> bool:
    met = _one(words, allowed)
    while words and words[0] == "AND":
        words.popleft()
        met = _one(words, allowed) and met
    return met


def _one(words: deque[str], allowed: frozenset[str]) -> bool:
    word = words.popleft()
    if word == "(":
        met = _either(words, allowed)
        words.popleft()
        return met
    if words and words[0] == "WITH":
        words.popleft()
        word = f"{word} WITH {words.popleft()}"
    return word in allowed
