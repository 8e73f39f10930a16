"""Benchmarks that anyone can run: `make bench`. Ratios, side by side in one run; no timed test."""
