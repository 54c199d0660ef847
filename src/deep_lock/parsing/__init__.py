"""Readers of text from outside. Each has limits before it parses, and reports the location of a fault."""

from deep_lock.lazy import load_at_first_use

__all__ = [
    "build_system",
    "faults",
    "ini",
    "openvex",
    "osv",
    "poetry",
    "poetry_constraints",
    "record_file",
    "references",
    "requirements",
    "setup_cfg",
    "text",
    "toml",
    "vetting",
    "zip_archive",
]

load_at_first_use(__name__, "ini", "poetry", "poetry_constraints", "setup_cfg")
