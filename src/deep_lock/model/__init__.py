"""The nouns: frozen records that import nothing of deep-lock but its errors, and do no I/O."""
