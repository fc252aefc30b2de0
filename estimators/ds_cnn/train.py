#!/usr/bin/env python3
"""Trains a keyword spotter: ten command words, silence, and everything else.

The bare command trains DS-CNN S for 30,000 steps, on synthesised speech where no --data_path is
given, keeps the best checkpoint, and ends with its accuracy on the test set.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from npu_adapter import averaging_flags, errors, flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _WORDS = absl_flags.DEFINE_string, absl_flags.DEFINE_list
_NUMBER, _COUNT = absl_flags.DEFINE_float, absl_flags.DEFINE_integer

# The names of networks.NETWORKS; reading them there would import TensorFlow.
ARCHITECTURES = (
  'ds_cnn', 'dnn', 'cnn', 'basic_lstm', 'lstm', 'gru', 'crnn',
  'single_fc', 'conv', 'low_latency_conv', 'low_latency_svdf',
)  # fmt: skip

# fmt: off
_TEXT('data_path', None, 'speech_commands v0.01 or v0.02: its folder or .tar.gz (default: synthesised speech, kept in --cache_path)')
_TEXT('data_url', '', 'must be empty: nothing is downloaded; get the archive and name it with --data_path')
_TEXT('output_path', None, 'folder for checkpoints, the training log, pictures and result.json; a run in it is resumed (default: output, beside this file)')
_TEXT('cache_path', None, 'folder for decoded clips and synthesised speech (default: $TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend)')
_TEXT('summaries_dir', None, 'folder for TensorBoard summaries (default: --output_path)')
_TEXT('start_checkpoint', None, 'checkpoint to take the first weights from')
_COUNT('clips_per_word', 240, 'synthesised clips of each of 35 words', lower_bound=3)
absl_flags.DEFINE_enum('on_bad_clip', 'error', ['error', 'skip'], 'what to do with sound files that cannot be read')
_COUNT('seed', 1, 'of weights, order, noise and synthesised speech', lower_bound=0)

absl_flags.DEFINE_enum('model_architecture', 'ds_cnn', ARCHITECTURES, 'network: ' + ', '.join(ARCHITECTURES))
_TEXT('model_size_info', None, "'S', 'M', 'L', or the sizes themselves, as '5 64 10 4 2 2 ...' (default: S)")
_NUMBER('dropout_rate', 0.0, 'share of activations dropped in training')
_WORDS('wanted_words', 'yes,no,up,down,left,right,on,off,stop,go', 'words to tell apart')

_COUNT('sample_rate', 16000, 'Hz; other rates are converted once')
_NUMBER('clip_duration_ms', 1000, 'length of a clip in ms')
_NUMBER('window_size_ms', 40, 'length of a frame in ms')
_NUMBER('window_stride_ms', None, 'from frame to frame in ms (default: as published for the size, 40 for dnn, lstm S and gru S, else 20)')
_COUNT('dct_coefficient_count', 10, 'numbers a frame')

_NUMBER('background_volume', 0.1, 'loudest background noise, 0 to 1')
_NUMBER('background_frequency', 0.8, 'share of training clips with noise, 0 to 1')
_NUMBER('time_shift_ms', 100, 'training clips are moved by up to this many ms')
_NUMBER('silence_percentage', 10, 'clips of silence, in per cent of the wanted')
_NUMBER('unknown_percentage', 10, 'clips of other words, in per cent of the wanted')
_NUMBER('validation_percentage', 10, 'clips for validation, in per cent')
_NUMBER('testing_percentage', 10, 'clips for the test, in per cent')

_WORDS('how_many_training_steps', '10000,10000,10000', 'steps at each learning rate')
_WORDS('learning_rate', '0.0005,0.0001,0.00002', 'learning rates, one after the other')
_COUNT('batch_size', 100, 'clips a step', lower_bound=1)
_COUNT('eval_step_interval', 400, 'steps between validations', lower_bound=1)
_COUNT('save_step_interval', None, 'steps between checkpoints (default: --eval_step_interval)', lower_bound=1)
_COUNT('log_step_interval', 100, 'steps between lines of the log', lower_bound=1)
absl_flags.DEFINE_bool('check_nans', False, 'look for NaN behind every operation, not in the loss alone; slow')
# fmt: on

for _alias, _name in (
  ('data_dir', 'data_path'), ('train_dir', 'output_path'), ('ckpt_path', 'start_checkpoint'),
  ('train_steps', 'how_many_training_steps'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _name)


def _settings():
  """What the flags say, checked."""
  from estimators.ds_cnn import clip_shape, input_pipeline, networks, settings
  from estimators.ds_cnn.dataset import speech_data

  stride_ms = FLAGS.window_stride_ms
  if stride_ms is None:
    stride_ms = settings.window_stride_ms(FLAGS.model_architecture, FLAGS.model_size_info)
  if FLAGS.data_url:
    raise errors.OptionError(
      f'data_url must be empty; got {FLAGS.data_url!r}. Nothing is downloaded: get the archive and '
      'name it with --data_path.'
    )
  steps = tuple(settings.numbers('how_many_training_steps', FLAGS.how_many_training_steps, int))
  return settings.check(
    settings.Settings(
      architecture=FLAGS.model_architecture,
      sizes=networks.sizes(FLAGS.model_architecture, FLAGS.model_size_info),
      wanted_words=tuple(FLAGS.wanted_words),
      shape=clip_shape.ClipShape(
        FLAGS.sample_rate,
        FLAGS.clip_duration_ms,
        FLAGS.window_size_ms,
        stride_ms,
        FLAGS.dct_coefficient_count,
      ),
      shares=speech_data.Shares(
        FLAGS.validation_percentage,
        FLAGS.testing_percentage,
        FLAGS.silence_percentage,
        FLAGS.unknown_percentage,
      ),
      augmentation=input_pipeline.Augmentation(
        FLAGS.background_volume, FLAGS.background_frequency, FLAGS.time_shift_ms, FLAGS.seed
      ),
      batch_size=FLAGS.batch_size,
      learning_rates=tuple(settings.numbers('learning_rate', FLAGS.learning_rate, float)),
      steps=steps,
      dropout_rate=FLAGS.dropout_rate,
      check_nans=FLAGS.check_nans,
      data_path=FLAGS.data_path and os.path.abspath(os.path.expanduser(FLAGS.data_path)),
      clips_per_word=FLAGS.clips_per_word,
      averaging=averaging_flags.averaging(sum(steps)),
    )
  )


def main(argv):
  """Reads the flags, trains, and prints how good the best network is on words it never heard."""
  del argv
  from estimators.ds_cnn import data_source, training_run

  settings = _settings()
  data = data_source.Data(FLAGS.cache_path, FLAGS.on_bad_clip)
  config = flags.run_config(
    model_dir=FLAGS.output_path or os.path.join(_HERE, 'output'),
    precision_mode='allow_mix_precision',
    tf_random_seed=FLAGS.seed,
    save_checkpoints_steps=FLAGS.save_step_interval or FLAGS.eval_step_interval,
    keep_checkpoint_max=2,
  )
  plan = training_run.Plan(
    FLAGS.eval_step_interval,
    FLAGS.log_step_interval,
    flags.loss_scale(),
    FLAGS.start_checkpoint,
    FLAGS.summaries_dir,
  )
  training_run.run(settings, data, config, plan)


if __name__ == '__main__':
  flags.run(main)
