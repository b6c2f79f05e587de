"""The servers that are compared, each with the same few verbs (server.py)."""
from .constant import Hyper, Socket
from .disk import Disk
from .postgresql import PostgreSQL
from .redis import Redis
from .this import This

SERVERS = {kind.name: kind for kind in [This, Redis, PostgreSQL, Hyper, Socket, Disk]}
