"""Reading tables (CSV, TSV, JSON lines, Parquet) of any size by DuckDB, with bounded memory.

DuckDB reads nothing but the given file and writes nothing but the result: it is shut off from all
other files, from its extensions and from the network before it sees the first byte.

`reading` and `faults` load DuckDB, which is large: only an attempt of such a job imports them.
"""
