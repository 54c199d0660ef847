"""The simple repository API (PEP 503, PEP 691, PEP 658): project pages, metadata, files, and their cache."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "attestations",
    "cache",
    "client",
    "download",
    "file_cache",
    "lazy_wheel",
    "metadata_differences",
    "provenance_files",
    "remote_cache",
    "settings",
    "wheel_contents",
    "wheel_files",
    "wheel_record",
    "workers",
]

load_at_first_use(__name__, "html", "lazy_wheel", "metadata_differences", "simple", "wheel_files")
load_at_first_use(
    __name__, "attestations", "provenance_files", "remote_cache", "wheel_contents", "wheel_record", in_load_all=False
)
