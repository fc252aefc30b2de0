"""STUB of the vendor's fused RNN layers: names only."""

from npu_bridge.stub_placeholders import placeholder_class

DynamicRNN = placeholder_class('DynamicRNN')
DynamicGRUV2 = placeholder_class('DynamicGRUV2')
DynamicAUGRU = placeholder_class('DynamicAUGRU')
