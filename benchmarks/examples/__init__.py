"""Scripts to begin with: each makes its own data in a folder, and runs as ``python -m benchmarks.examples.NAME FOLDER``."""
