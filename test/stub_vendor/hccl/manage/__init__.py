"""STUB of the vendor's hccl group management package."""
