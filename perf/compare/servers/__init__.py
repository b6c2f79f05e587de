"""The servers that are compared, each with the same few verbs (harness/server.py)."""
from harness.this import This

from .constant import Hyper, Socket
from .disk import Disk
from .postgresql import PostgreSQL
from .redis import Redis

SERVERS = {kind.name: kind for kind in [This, Redis, PostgreSQL, Hyper, Socket, Disk]}
