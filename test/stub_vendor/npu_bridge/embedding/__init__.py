"""STUB of the vendor's embedding package."""
