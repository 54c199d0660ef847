"""Options and lines of requirements files, constraints and overrides that a user should know of: none is passed over in silence."""

from collections.abc import Iterable, Iterator

from deep_lock.errors import RequirementsInvalid
from deep_lock.events import Warned
from deep_lock.network.urls import shown_url
from deep_lock.project.requirements_txt import RequirementsFile


def limits_only(file: RequirementsFile) -> RequirementsFile:
    """Return a file of constraints or overrides. Raises RequirementsInvalid where it names a URL or a path, as pip does."""
    for line in file.unnamed:
        raise RequirementsInvalid(
            f"{line.origin}: names a URL or a path, and a constraint limits only versions",
            hint="require it in the project, or in a file of -r",
        )
    return file


def notes(required: Iterable[RequirementsFile], limits: Iterable[RequirementsFile]) -> Iterator[Warned]:
    """Yield the notes on all files, and on options that have no effect."""
    for file, is_limit in (*((own, False) for own in required), *((own, True) for own in limits)):
        yield from file.notes
        for option, value in file.index_options:
            message = f"its option {f'--{option} {shown_url(value)}'.rstrip()} is used in this run"
            yield Warned(code="index-in-file", subject=file.files[0], message=message)
        names = ["--no-binary"] * bool(file.no_binary) + ["--only-binary"] * bool(file.only_binary)
        for name, remedy in [(name, name) for name in names if is_limit] + [("--pre", "--prerelease")] * file.pre:
            message = f"{name} has no effect in this file: give it as an option of deep-lock, {remedy}"
            yield Warned(code="option-ignored", subject=file.files[0], message=message)
