"""Finished runs as one HTML file, which opens without a network and without a server."""
