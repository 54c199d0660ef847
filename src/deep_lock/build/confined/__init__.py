"""The confined half: runs under any CPython from 3.9 on, with nothing but the standard library. Law: imports nothing else."""
