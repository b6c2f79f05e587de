"""What the measurements in perf/ share: processes and servers, turns, spreads, tables and bars, and the machine they ran on."""
