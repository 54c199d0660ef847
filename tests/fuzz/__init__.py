"""Fuzzing of every reader of content from outside: a reader returns a value or raises a DeepLockError, and nothing else.

`targets` has the readers, `mutations` changes seeds. The default run is `test_fuzz`; by hand, with other cases at each run::

    python -m tests.fuzz --seconds 60 [TARGET ...]
"""
