"""STUB of the vendor's static RNN helper: the name only."""

from npu_bridge.stub_placeholders import placeholder

npu_dynamic_rnn = placeholder('npu_rnn.npu_dynamic_rnn')
