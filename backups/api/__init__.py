"""The REST door: parse, call one verb of a noun, render."""
