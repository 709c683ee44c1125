"""Tests of the whole platform, and the servers that all tests share."""
