"""The gRPC door: stubs generated from `proto/`, what they call, and a client of our own."""
