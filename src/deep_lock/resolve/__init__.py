"""The one room that resolves. It knows nothing of depth, networks or builds: it asks its Catalog, and stops if blocked."""
