"""STUB of the vendor's hccl group calls: ranks come from the environment, one host holds them."""

import os

_WORLD = 'hccl_world_group'
_groups = {}


def _world_size():
  return int(os.environ.get('CM_WORKER_SIZE') or os.environ.get('RANK_SIZE') or 1)


def _members(group):
  if group == _WORLD:
    return list(range(_world_size()))
  if group not in _groups:
    raise ValueError(f'hccl group must be created before use, got {group!r}: call create_group')
  return _groups[group]


def create_group(group, rank_num, rank_ids):
  """Remembers a named group of world ranks."""
  if rank_num != len(rank_ids):
    raise ValueError(f'rank_num must equal len(rank_ids), got {rank_num} and {len(rank_ids)}')
  _groups[group] = list(rank_ids)


def destroy_group(group):
  """Forgets a named group."""
  _groups.pop(group)


def get_rank_size(group=_WORLD):
  """Number of ranks in the group."""
  return len(_members(group))


def get_local_rank_size(group=_WORLD):
  """Number of ranks of the group on this host: all of them in the stub."""
  return len(_members(group))


def get_rank_id(group=_WORLD):
  """Rank of this process in the group."""
  return _members(group).index(int(os.environ.get('RANK_ID') or 0))


def get_local_rank_id(group=_WORLD):
  """Rank of this process on its host."""
  return get_rank_id(group)


def get_world_rank_from_group_rank(group, group_rank_id):
  """World rank of a group's rank."""
  return _members(group)[group_rank_id]


def get_group_rank_from_world_rank(world_rank_id, group):
  """Group rank of a world rank."""
  return _members(group).index(world_rank_id)
