"""deep-lock: one hashed lockfile for what runs and for what builds it, to full depth."""

__version__ = "0.1.0"
