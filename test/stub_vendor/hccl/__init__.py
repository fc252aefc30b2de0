"""STUB, not Huawei's package: stands in for the closed `hccl` package in tests."""

__stub__ = True
