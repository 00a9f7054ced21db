"""Ways to obtain a System: the only package of the harness that touches the fakes."""
