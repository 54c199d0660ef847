"""A program that reads all of an index, as one of several parts of a larger run: each needs all pages, metadata and files.

``index_reader.py URL CACHE NOW SEED NAME...`` prints a digest of what it read. Each process has another order.
"""

import random
import sys
from hashlib import sha256
from pathlib import Path

from packaging.utils import canonicalize_name

from deep_lock.events import silent
from deep_lock.index.cache import Cache
from deep_lock.index.client import IndexClient
from deep_lock.index.settings import IndexSettings, IndexSource
from deep_lock.models.distribution import SourceDistribution, Wheel
from deep_lock.network.client import HttpClient, TransportSettings


def main() -> None:
    """Read the index and print the digest."""
    url, folder, now, seed, *texts = sys.argv[1:]
    names = [canonicalize_name(text) for text in texts]
    random.Random(seed).shuffle(names)  # noqa: S311 - an order
    settings = IndexSettings(
        sources=(IndexSource(name="i", url=url),), now=float(now), refresh=seed == "refresh", workers=4
    )
    cache = Cache(Path(folder), silent, larger_run=float(now))
    client = IndexClient(settings, cache, lambda: HttpClient(TransportSettings(), silent), silent)
    client.prefetch_pages((name, "") for name in names)
    read = []
    for name in names:
        for version in client.versions(name):
            for file in client.files(name, version):
                if isinstance(file, Wheel):
                    read.append(str(client.wheel_metadata(file)))
                elif isinstance(file, SourceDistribution):
                    with client.open_sdist(file) as archive:
                        read.append(sha256(archive.read()).hexdigest())
                read.append(client.cached_file(file).name)
    client.close()
    print(sha256("".join(sorted(read)).encode()).hexdigest())  # noqa: T201 - it is a program


if __name__ == "__main__":
    main()
