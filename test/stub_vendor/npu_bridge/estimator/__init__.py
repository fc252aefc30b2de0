"""STUB of the vendor's estimator package."""
