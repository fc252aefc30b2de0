"""STUB of the vendor's hccl operator package."""
