"""STUB of the vendor's estimator.npu package."""
