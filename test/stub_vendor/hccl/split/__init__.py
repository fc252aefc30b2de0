"""STUB of the vendor's hccl gradient split package."""
