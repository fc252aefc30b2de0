"""The host: TensorFlow itself on CPU or GPU, and what makes an NPU run predictable there."""
