"""Many repositories: what must run, the workers that run it, the journal of their results, and what is delivered."""

__all__: list[str] = []
