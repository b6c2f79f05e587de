"""What is written: samples.jsonl as they come, then figures.md and figures.svg."""
