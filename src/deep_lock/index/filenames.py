"""File names to version texts, with the project's name known and without making objects.

A page can hold ten thousand names, of which a run looks at a few dozen: here a name is only cut where its version
begins and ends. Specifications: binary distribution format (wheels), PEP 625 and the legacy names before it (sdists).
"""

from packaging.utils import NormalizedName, canonicalize_name

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz")
DISTRIBUTION_SUFFIXES = (".whl", *SDIST_SUFFIXES, ".egg", ".exe", ".msi", ".rpm", ".tgz")
"""What a link to some distribution ends with, the kinds included that deep-lock has no use for."""

MAX_FILENAME = 300
MAX_VERSION = 128
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+!-"


class FileSkipped(Exception):  # not a DeepLockError: it never leaves this wing
    """One file of a page is left out. ``code`` is that of the note, ``reason`` a sentence part."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FileNames:
    """Cuts the file names of one project. Remembers each spelling of the project's name that it met."""

    def __init__(self, name: NormalizedName) -> None:
        self._name = name
        self._spellings: dict[str, bool] = {}

    def version_text(self, filename: str) -> str | None:
        """Return the version as the file name spells it; None for kinds of files that are ignored.

        Raises FileSkipped: not a proper name, or another project's.
        """
        if filename.endswith(".whl"):
            return self._of_wheel(_plain(filename))
        if filename.endswith(SDIST_SUFFIXES):
            return self._of_sdist(sdist_stem(_plain(filename)))
        return None

    def _of_wheel(self, filename: str) -> str:
        head, _, rest = filename.partition("-")
        version, _, tail = rest.partition("-")
        dashes = tail.count("-")
        # Three tags; four parts where a build tag, which begins with a digit, stands before them.
        if dashes != 2 and not (dashes == 3 and tail[0].isdigit()):
            raise FileSkipped("FilenameInvalid", "not the name of a wheel")
        if not self._is_ours(head):
            raise FileSkipped("FilenameInvalid", "the wheel is another project's")
        return _checked(version)

    def _of_sdist(self, stem: str) -> str:
        # A dash may stand in the name, and in a version of old: the last one that leaves our name is tried first.
        head, _, version = stem.rpartition("-")
        if self._is_ours(head):
            return _checked(version)
        at = stem.find("-")
        while at != -1:
            if self._is_ours(stem[:at]):
                return _checked(stem[at + 1 :])
            at = stem.find("-", at + 1)
        raise FileSkipped("FilenameInvalid", "the source distribution is another project's")

    def _is_ours(self, spelling: str) -> bool:
        known = self._spellings.get(spelling)
        if known is None:
            known = self._spellings[spelling] = canonicalize_name(spelling) == self._name
        return known


def sdist_stem(filename: str) -> str:
    """Return the file name without its archive suffix, or as it is where it has none."""
    for suffix in SDIST_SUFFIXES:
        if filename.endswith(suffix):
            return filename[: -len(suffix)]
    return filename


def _plain(filename: str) -> str:
    # strip() of all allowed characters leaves nothing exactly when there was nothing else: a fast full match.
    if filename.strip(_PLAIN) or len(filename) > MAX_FILENAME:
        raise FileSkipped("FilenameInvalid", "characters or a length that no file name may have")
    return filename


def _checked(version: str) -> str:
    if not version or len(version) > MAX_VERSION:
        raise FileSkipped("VersionInvalid", "no version, or one that is too long")
    return version
