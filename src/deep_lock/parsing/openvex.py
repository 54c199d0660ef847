"""OpenVEX documents (0.0.1 and 0.2.0): whether a vulnerability affects a product, as its authors state it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from deep_lock.boundary import reading
from deep_lock.errors import ConfigError
from deep_lock.models.advisory import VexStatement

_START = datetime(1970, 1, 1, tzinfo=UTC)


class _Vulnerability(Struct):
    id: str = msgspec.field(default="", name="@id")
    name: str = ""
    aliases: list[str] = []


class _Component(Struct):
    id: str = msgspec.field(default="", name="@id")
    identifiers: dict[str, str] = {}


class _Product(_Component):
    subcomponents: list[_Component | str] = []


class _Statement(Struct):
    vulnerability: _Vulnerability | str
    status: str
    products: list[_Product | str] = []
    subcomponents: list[str] = []
    """Of 0.0.1: those of every product."""
    justification: str = ""
    impact_statement: str = ""
    action_statement: str = ""
    status_notes: str = ""
    timestamp: datetime | None = None


class _Document(Struct):
    statements: list[_Statement]
    context: str = msgspec.field(default="", name="@context")
    timestamp: datetime | None = None


_decode = msgspec.json.Decoder(_Document).decode


def read_openvex(data: bytes, source: str) -> tuple[VexStatement, ...]:
    """Return the statements about packages of PyPI, the earliest first: a later one replaces it. Raises ConfigError.

    A product without subcomponents is the package itself; otherwise its subcomponents are.
    """
    with reading(source, ConfigError):
        try:
            document = _decode(data)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{source}: is not an OpenVEX document: {error}") from None
        if "openvex" not in document.context:
            raise ConfigError(f"{source}: is not an OpenVEX document: its @context does not name OpenVEX")
        timed = [(_aware(own.timestamp or document.timestamp), own) for own in document.statements]
        ordered = sorted(timed, key=lambda pair: pair[0])
        return tuple(made for _, own in ordered for made in _statements(own, source))


def _aware(time: datetime | None) -> datetime:
    if time is None:
        return _START
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _statements(own: _Statement, source: str) -> Iterator[VexStatement]:
    texts = (own.justification, own.impact_statement, own.action_statement, own.status_notes)
    for name, version in dict.fromkeys(_packages(own)):
        yield VexStatement(
            ids=_ids(own.vulnerability),
            package=name,
            version=version,
            status=own.status,
            justification=own.justification,
            reason="; ".join(filter(None, texts)),
            source=source,
        )


def _ids(vulnerability: _Vulnerability | str) -> tuple[str, ...]:
    if isinstance(vulnerability, str):
        return (vulnerability,)
    last = vulnerability.id.rstrip("/").rpartition("/")[2]
    return tuple(filter(None, dict.fromkeys((vulnerability.name, *vulnerability.aliases, last))))


def _packages(own: _Statement) -> Iterator[tuple[str, str]]:
    for product in own.products:
        inside = list(own.subcomponents)
        if isinstance(product, _Product):
            inside += [text for each in product.subcomponents for text in _texts(each)]
        for text in inside or _texts(product):
            yield from _package(text)


def _texts(component: _Component | str) -> list[str]:
    if isinstance(component, str):
        return [component]
    return [component.id, component.identifiers.get("purl", "")]


def _package(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of a package URL of PyPI; of any other text nothing."""
    if not text.startswith("pkg:"):
        return
    url = PackageURL.from_string(text)
    if url.type == "pypi" and url.name:
        yield canonicalize_name(url.name), url.version or ""
