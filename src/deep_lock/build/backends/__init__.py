"""One rule for each backend whose code was read: what its hook asks for beyond the declared build requirements."""
