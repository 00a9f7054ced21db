"""From what a process writes to observations: capture reads every byte, parse understands every line."""
