import sys
from pathlib import Path

# What is shared with the other measurements.
sys.path.append(str(Path(__file__).resolve().parents[2]))
