"""What stands behind tools/launch.py: training run as launch scripts do. No TensorFlow."""
