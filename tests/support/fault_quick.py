"""Runs the command line with hardly any patience: waits of milliseconds, and timeouts of half a second."""

from functools import partial

from deep_lock.__main__ import main
from deep_lock.network import client, retries
from deep_lock.network.transport import TransportSettings

vars(retries).update(SHORTEST_WAIT=0.01, LONGEST_WAIT=0.02)
vars(client).update(TransportSettings=partial(TransportSettings, connect_timeout=0.5, read_timeout=0.5))

if __name__ == "__main__":
    main()
