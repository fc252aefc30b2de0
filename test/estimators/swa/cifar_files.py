"""Small files in the binary form in which CIFAR is published."""

import numpy as np


def write(folder, task, counts=(20, 10), seed=0):
  """Writes the files of a task into a folder of its published name; returns pictures and labels.

  {split: (uint8 [pictures, 32, 32, 3], labels)} of the training files together, and of the test.
  """
  chance = np.random.RandomState(seed)
  name, label_bytes, classes, files = {
    'cifar10': ('cifar-10-batches-bin', 1, 10,
                ([f'data_batch_{n}.bin' for n in range(1, 6)], ['test_batch.bin'])),
    'cifar100': ('cifar-100-binary', 2, 100, (['train.bin'], ['test.bin'])),
  }[task]  # fmt: skip
  target = folder / name
  target.mkdir(parents=True)
  found = {}
  for split, names, count in zip(('training', 'test'), files, counts):
    pictures = chance.randint(0, 256, [count * len(names), 32, 32, 3]).astype(np.uint8)
    labels = chance.randint(0, classes, count * len(names)).astype(np.uint8)
    for number, file in enumerate(names):
      part = slice(number * count, (number + 1) * count)
      rows = b''
      for picture, label in zip(pictures[part], labels[part]):
        rows += bytes([7] * (label_bytes - 1) + [label]) + picture.transpose(2, 0, 1).tobytes()
      (target / file).write_bytes(rows)
    found[split] = pictures, labels
  return found
