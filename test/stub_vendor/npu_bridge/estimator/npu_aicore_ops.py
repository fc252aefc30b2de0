"""STUB of the vendor's AI-core operators: names only."""

from npu_bridge.stub_placeholders import placeholder

prelu = placeholder('npu_aicore_ops.prelu')
centralization = placeholder('npu_aicore_ops.centralization')
fast_gelu_v2 = placeholder('npu_aicore_ops.fast_gelu_v2')
dropout_v3 = placeholder('npu_aicore_ops.dropout_v3')
dropout_v4 = placeholder('npu_aicore_ops.dropout_v4')
layer_norm = placeholder('npu_aicore_ops.layer_norm')
nonzero = placeholder('npu_aicore_ops.nonzero')
nonzerowithvalue = placeholder('npu_aicore_ops.nonzerowithvalue')
lru_cache_v2 = placeholder('npu_aicore_ops.lru_cache_v2')
