"""The load: one driver for each protocol, all closed loops of one thread with keep-alive connections."""
from . import pgbench, probe, redis_benchmark, wrk

DRIVERS = {"this": wrk.drive, "constant": wrk.drive, "socket": wrk.drive, "redis": redis_benchmark.drive,
           "postgresql": pgbench.drive, "disk": probe.drive}
