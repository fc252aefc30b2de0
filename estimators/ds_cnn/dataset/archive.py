"""Unpacks a speech_commands archive once, into a folder beside it. Nothing may leave the folder."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import zlib
from typing import Callable, Iterator

from estimators.ds_cnn.dataset import claim
from npu_adapter import errors

# v0.02 has 105,835 files and 3.8 GB. An archive far above that is not a speech_commands archive.
MOST_FILES = 1000000
MOST_BYTES = 32 << 30
_SUFFIXES = ('.tar.gz', '.tgz', '.tar')
_AT_ONCE = 1 << 20


class ArchiveError(errors.InputError):
  """An archive that must not or cannot be unpacked."""


class _Member(tarfile.TarInfo):
  """A member behind which the archive must go on, or end as archives do.

  tarfile takes a damaged header for the end, and what was unpacked up to there for the whole.
  """

  @classmethod
  def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
    try:
      return super().fromtarfile(tar)
    except tarfile.EOFHeaderError:
      raise
    except tarfile.HeaderError as error:
      raise tarfile.ReadError(str(error)) from None


def is_archive(path: str) -> bool:
  """Whether a path looks like an archive this module unpacks."""
  return os.path.isfile(path) and path.endswith(_SUFFIXES) and _stem(path) != ''


def unpack(archive: str, parent: str, show: Callable[[str], None] = print) -> str:
  """Returns the folder in `parent` with the archive's content; unpacks it when it is not there.

  The folder appears in one step, when it is complete: what a killed process left is not taken for
  it, and is removed. Several processes may ask for it: the first unpacks, the others wait.
  """
  folder = os.path.join(parent, _stem(archive))
  if os.path.isdir(folder):
    return folder
  try:
    with claim.claimed(folder, show) as partial:
      # Another process may have unpacked it while this one waited.
      if not os.path.isdir(folder):
        show(f'unpacking {archive} into {folder} (once)')
        os.mkdir(partial)
        _extract(archive, partial)
        os.rename(partial, folder)
  except OSError as error:
    raise ArchiveError(
      f'the archive {archive!r} is unpacked into {parent!r}, which must be a folder this user can '
      f'write, with room for it; got: {error}. Unpack it elsewhere and name that folder.'
    ) from None
  return folder


def _stem(archive: str) -> str:
  name = os.path.basename(archive)
  return next(name[: -len(suffix)] for suffix in _SUFFIXES if name.endswith(suffix))


def _extract(archive: str, folder: str) -> None:
  try:
    with tarfile.open(archive, tarinfo=_Member) as tar:
      for member in _within_bounds(_checked(tar, archive), archive):
        _write(tar, member, folder)
      _read_to_end(tar)
  except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
    if isinstance(error, OSError) and error.errno:
      # The system's word on a file or a disk, not gzip's on its bytes.
      raise
    raise ArchiveError(
      f'{archive!r} cannot be unpacked: {error or type(error).__name__}. It may be cut short or '
      'damaged: get it again. Nothing of it was kept.'
    ) from None


def _read_to_end(tar: tarfile.TarFile) -> None:
  """The check sum of a compressed archive stands behind its last member, where nobody looks."""
  assert tar.fileobj is not None
  while tar.fileobj.read(_AT_ONCE):
    pass


def _within_bounds(members: Iterator[tarfile.TarInfo], archive: str) -> Iterator[tarfile.TarInfo]:
  total_bytes = 0
  for count, member in enumerate(members, start=1):
    total_bytes += member.size
    if count > MOST_FILES or total_bytes > MOST_BYTES:
      raise ArchiveError(
        f'an archive must hold at most {MOST_FILES} files and {MOST_BYTES >> 30} GB; '
        f'{archive!r} holds more. Nothing of it was kept.'
      )
    yield member


def _checked(tar: tarfile.TarFile, archive: str) -> Iterator[tarfile.TarInfo]:
  """The members to write. Links, devices and paths that lead out of the folder are refused."""
  for member in tar:
    name = posixpath.normpath(member.name)
    leads_out = posixpath.isabs(name) or name.split('/')[0] == '..' or '\\' in name or '\0' in name
    if leads_out or not (member.isfile() or member.isdir()):
      kind = 'leads out of the folder' if leads_out else 'is no plain file or folder'
      raise ArchiveError(
        f'{archive!r} holds {member.name!r}, which {kind}: it is no speech_commands archive. '
        'Nothing of it was kept.'
      )
    yield member


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> None:
  """Writes content only: owner, mode and times of the archive mean nothing here."""
  path = os.path.join(folder, *posixpath.normpath(member.name).split('/'))
  if member.isdir():
    os.makedirs(path, exist_ok=True)
    return
  os.makedirs(os.path.dirname(path), exist_ok=True)
  source = tar.extractfile(member)
  assert source is not None  # only for members that are no files, and those were refused
  with source, open(path, 'wb') as target:
    shutil.copyfileobj(source, target)
