"""What surrounds the functions: the command line, the local twin, templates and benchmarks."""
