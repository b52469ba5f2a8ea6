"""The messages of the protocol, generated from proto/tconv/v1 when the package is built."""
