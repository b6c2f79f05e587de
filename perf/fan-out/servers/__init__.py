"""The servers that are measured, each with the verbs of harness/server.py, and where its status is and which processes it has."""
from .nchan import Nchan
from .this import Before, Fleet

SERVERS = {kind.name: kind for kind in [Fleet, Before, Nchan]}
