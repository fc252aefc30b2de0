"""STUB of the vendor's gradient split calls: remembers what was asked, has no effect."""

_WORLD = 'hccl_world_group'

strategies = {}


def set_split_strategy_by_idx(idxList, group=_WORLD):
  """Remembers a split of the gradients by index."""
  strategies[group] = ('idx', list(idxList))


def set_split_strategy_by_size(dataSizeList, group=_WORLD):
  """Remembers a split of the gradients by percentage of bytes."""
  strategies[group] = ('size', list(dataSizeList))
