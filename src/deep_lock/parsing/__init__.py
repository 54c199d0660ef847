"""Readers of text from outside, bounded before they parse, that name the place of a fault."""

__all__ = ["build_system", "faults", "ini", "requirements", "text", "toml"]
