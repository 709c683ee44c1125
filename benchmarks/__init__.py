"""Measures backups beside what people use otherwise: `make bench` (see docs/BENCHMARKS.md)."""
