"""STUB of the vendor's parameter-server embedding API: names only."""

from npu_bridge.stub_placeholders import placeholder_class

ESWorker = placeholder_class('ESWorker')
