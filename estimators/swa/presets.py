"""What the flags that are not given are, by task and network. No TensorFlow.

blobs is the original's demonstration; those of CIFAR are of the publication, arXiv 1803.05407.
"""

FROM_FILES = ('cifar10', 'cifar100')
TASKS = ('blobs', 'digits', *FROM_FILES)
# The network a task has if none is named comes first.
NETWORKS = {
  'blobs': ('dense',),
  'digits': ('conv',),
  'cifar10': ('vgg16', 'preresnet164'),
  'cifar100': ('vgg16', 'preresnet164'),
}

# What of a preset goes into the settings as it is, and what averaging is made of.
OF_TRAINING = ('batch_size', 'learning_rate', 'schedule', 'momentum', 'weight_decay')
OF_AVERAGING = ('epochs', 'start_epoch', 'lr_schedule', 'swa_lr', 'swa_lr2', 'swa_freq')

_DEMONSTRATION = {
  'batch_size': 16384,
  'epochs': 100,
  'learning_rate': 0.1,
  'schedule': 'constant',
  'momentum': 0.0,
  'weight_decay': 0.0,
  'start_epoch': 75,
  'lr_schedule': 'cyclic',
  'swa_lr': '0.001',
  'swa_lr2': '0.003',
  'swa_freq': 3,
}
_DIGITS = {
  **_DEMONSTRATION,
  'batch_size': 64,
  'epochs': 40,
  'learning_rate': 0.05,
  'schedule': 'falling',
  'momentum': 0.9,
  'weight_decay': 5e-4,
  'start_epoch': 26,
  'lr_schedule': 'constant',
  'swa_lr': '0.02',
  'swa_lr2': 'auto',
  'swa_freq': 1,
}
_VGG16 = {
  **_DIGITS,
  'batch_size': 128,
  'epochs': 300,
  'learning_rate': 0.05,
  'start_epoch': 162,
  'swa_lr': '0.01',
}
_PRERESNET164 = {
  **_VGG16,
  'epochs': 225,
  'learning_rate': 0.1,
  'weight_decay': 3e-4,
  'start_epoch': 127,
  'swa_lr': '0.05',
}
_OF_NETWORK = {
  'dense': _DEMONSTRATION,
  'conv': _DIGITS,
  'vgg16': _VGG16,
  'preresnet164': _PRERESNET164,
}


def of_network(network: str) -> dict:
  """{flag: value} for a network."""
  return _OF_NETWORK[network]
