"""eSpeak NG through ctypes: text and a voice in, samples out; the only file that loads it.

eSpeak NG is GPL-3.0: it comes with the optional PyPI package espeakng-loader and is loaded when an
Engine is made, never before. It keeps state from call to call, so the same call gives other samples
the second time: only a fixed sequence of calls in a fresh process can be repeated.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, NamedTuple

import numpy as np

SAMPLE_RATE_HZ = 22050


class Voice(NamedTuple):
  """How to say something; eSpeak's numbers from 0 to 100 mean 50 for a voice as it is."""

  accent: str  # a file below espeak-ng-data/lang/gmw
  variant: str  # a file below espeak-ng-data/voices/!v
  rate_wpm: int  # 80 to 450
  pitch: int
  pitch_range: int


# Several variants clip at eSpeak's normal volume of 100.
_VOLUME = 45
# Values of speak_lib.h.
_SYNCHRONOUS_OUTPUT = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_IPA = 2
_PARAMETERS = {'rate_wpm': 1, 'volume': 2, 'pitch': 3, 'pitch_range': 4}

_Callback = ctypes.CFUNCTYPE(
  ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(RuntimeError):
  """eSpeak could not be loaded, or refused a call."""


class _CurrentVoice(ctypes.Structure):
  """The first fields of espeak_VOICE."""

  _fields_ = [
    ('name', ctypes.c_char_p),
    ('languages', ctypes.c_void_p),
    ('identifier', ctypes.c_char_p),
  ]


class Engine:
  """eSpeak in this process: one at a time, and the working directory becomes its data folder."""

  def __init__(self, seed: int):
    self._library = _load()
    # The library keeps at most 160 characters of the data folder's path and then finds nothing:
    # environments in deep folders work because it is handed a path of one character.
    os.chdir(_data_folder())
    rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, b'.', _DO_NOT_EXIT)
    if rate_hz != SAMPLE_RATE_HZ:
      raise EspeakError(
        f'espeak_Initialize must return {SAMPLE_RATE_HZ} Hz; it returned {rate_hz} with the data '
        f'of {os.getcwd()}. Reinstall espeakng-loader.'
      )
    # Breath is random noise, and eSpeak would seed it with the time of day.
    self._library.espeak_ng_SetRandSeed(seed)
    self._chunks: list[bytes] = []
    # Kept in a field: ctypes frees a callback that only C still knows.
    self._callback = _Callback(self._receive)
    self._library.espeak_SetSynthCallback(self._callback)
    self._voice_name = ''

  @property
  def version(self) -> str:
    return self._library.espeak_Info(None).decode('ascii').split(' ')[0]

  def say(self, text: str, voice: Voice) -> np.ndarray:
    """Returns int16 samples [time] at SAMPLE_RATE_HZ."""
    self._choose(voice.accent, voice.variant)
    values = {**voice._asdict(), 'volume': _VOLUME}
    for name, number in _PARAMETERS.items():
      self._check(self._library.espeak_SetParameter(number, values[name], 0), f'{name} of {voice}')
    self._chunks.clear()
    encoded = text.encode('utf-8') + b'\0'
    status = self._library.espeak_Synth(encoded, len(encoded), 0, 0, 0, _UTF8, None, None)
    self._check(status, f'{text!r} by {voice}')
    return np.frombuffer(b''.join(self._chunks), np.int16)

  def phonemes(self, text: str, accent: str) -> str:
    """How an accent pronounces a text, in the letters of the IPA."""
    self._choose(accent, '')
    rest = ctypes.c_char_p(text.encode('utf-8'))
    return self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA).decode('utf-8')

  def _choose(self, accent: str, variant: str) -> None:
    name = f'gmw/{accent}+{variant}' if variant else f'gmw/{accent}'
    if name == self._voice_name:
      return
    self._check(self._library.espeak_SetVoiceByName(name.encode('utf-8')), f'the voice {name}')
    # An unknown variant is no error to eSpeak: it speaks with the plain voice.
    chosen = self._library.espeak_GetCurrentVoice().contents.identifier.decode('utf-8')
    if chosen != name:
      raise EspeakError(f'eSpeak has no voice {name}; it took {chosen}')
    self._voice_name = name

  def _receive(self, samples: Any, count: int, events: Any) -> int:
    if samples and count > 0:
      self._chunks.append(ctypes.string_at(samples, 2 * count))
    return 0

  def _check(self, status: int, what: str) -> None:
    if status:
      raise EspeakError(f'eSpeak refused {what} (status {status})')


def _data_folder() -> str:
  import espeakng_loader

  return espeakng_loader.get_data_path()


def _load() -> Any:
  import espeakng_loader

  try:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
  except OSError as error:
    raise EspeakError(
      f'the library of espeakng-loader must load on this machine: {error}'
    ) from error
  library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
  library.espeak_Info.argtypes = [ctypes.c_void_p]
  library.espeak_Info.restype = ctypes.c_char_p
  library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
  library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_CurrentVoice)
  library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
  unsigned = ctypes.c_uint
  library.espeak_Synth.argtypes = [
    ctypes.c_char_p, ctypes.c_size_t, unsigned, ctypes.c_int, unsigned, unsigned,
    ctypes.c_void_p, ctypes.c_void_p,
  ]  # fmt: skip
  library.espeak_TextToPhonemes.argtypes = [
    ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int,
  ]  # fmt: skip
  library.espeak_TextToPhonemes.restype = ctypes.c_char_p
  return library
