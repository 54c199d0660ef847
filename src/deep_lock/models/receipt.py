"""The receipt of a wheel that `wheelhouse` built: what the lock states about its build, and how it ran.

It is a file in the ``.dist-info`` folder of the wheel, listed in its RECORD, so that installers copy it into the environment.
It is not signed: a user who can write the wheel or the environment can write it. Equal builds have equal receipts: it has no
time, no path and no name of a machine.
"""

import msgspec
from msgspec import Struct

from deep_lock.boundary import ErrorOf, reading
from deep_lock.models.build_system import ConfigSettings

RECEIPT_NAME = "deep-lock.json"
"""Of the file in the ``.dist-info`` folder."""
RECEIPT_SCHEMA = "deep-lock/receipt"
RECEIPT_VERSION = 1
MAX_RECEIPT_BYTES = 4 * 1024 * 1024


class ReceiptFile(Struct, frozen=True, kw_only=True):
    """A file of the lock."""

    name: str
    sha256: str


class ReceiptPackage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package of the build environment."""

    name: str
    version: str
    file: ReceiptFile
    """The wheel that was installed, or the sdist that it was built from."""
    build: str = ""
    """The digest of its own build, if it was built from ``file``."""


class Receipt(Struct, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """What a wheel was built from, and how."""

    schema: str
    version: int
    build: str
    """The digest of the build in the lock (`lockfile.build_digests`): hex of sha256."""
    sdist: ReceiptFile
    subdirectory: str = ""
    config_settings: ConfigSettings = ()
    packages: tuple[ReceiptPackage, ...] = ()
    """The build environment, sorted."""
    target: str
    python: str
    """The full version of the interpreter that ran the build."""
    sandbox: bool
    source_date_epoch: int


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the content of the file."""
    return msgspec.json.format(msgspec.json.encode(receipt), indent=1) + b"\n"


def decode_receipt(data: bytes, where: str, error: ErrorOf) -> Receipt:
    """Read the content of the file. ``where`` names it in messages. Raises ``error``, also for a later version of the file."""
    with reading(where, error):
        receipt = msgspec.json.decode(data, type=Receipt)
    if receipt.schema != RECEIPT_SCHEMA:
        raise error(f"{where}: its schema is not {RECEIPT_SCHEMA}")
    if receipt.version != RECEIPT_VERSION:
        raise error(f"{where}: is of version {receipt.version}, and only {RECEIPT_VERSION} is known")
    return receipt
