"""Stand-ins on the wire for what a dispatcher talks to; each also runs alone."""
