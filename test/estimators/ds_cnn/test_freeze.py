"""freeze.py: one graph, as pb and as SavedModel, that answers as the checkpoint does; no loss."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import data_source, freeze, input_pipeline, model, networks
from estimators.ds_cnn import settings as run_settings
from estimators.ds_cnn.deployment import label_file, trained_network, wav_bytes, wav_graph


@pytest.fixture(scope='module')
def store(trained, tone_data):
  settings = run_settings.read(str(trained.folder / 'best' / 'x'))
  data = data_source.Data(str(trained.cache), 'error', str(tone_data))
  return data_source.open_data(data, settings)


@pytest.fixture(scope='module')
def evaluated(trained, store):
  """What the estimator gives for the test clips by the features of evaluation: [clips, labels]."""
  found = trained_network.find(str(trained.folder))
  estimator = npu_adapter.NPUEstimator(
    model.model_fn, model_dir=str(trained.folder), params=found.settings.params()
  )
  input_fn = input_pipeline.evaluation_input_fn(store, 'testing')
  predictions = estimator.predict(input_fn, checkpoint_path=found.checkpoint)
  count = len(store.splits['testing'].rows)
  return np.array([example['probabilities'] for example in predictions])[:count]


@pytest.fixture(scope='module')
def wavs(store):
  """The test clips as wav files: bytes."""
  samples = np.fromfile(store.samples_path, '<i2').reshape([-1, store.shape.samples])
  rows = store.splits['testing'].rows
  return [wav_bytes.made_of(samples[row] / 32768, store.shape.sample_rate) for row in rows]


def scores(session, wavs):
  return np.concatenate([session.run('labels_softmax:0', {'wav_data:0': wav}) for wav in wavs])


def read_pb(path):
  return tf.GraphDef.FromString(path.read_bytes())


def session_of(definition):
  with tf.Graph().as_default() as graph:
    tf.import_graph_def(definition, name='')
  return tf.Session(graph=graph)


def test_a_pb_answers_as_evaluation_does(frozen, wavs, evaluated):
  with session_of(read_pb(frozen.pb)) as session:
    found = scores(session, wavs)
  assert found.shape == (24, 12)
  np.testing.assert_allclose(found, evaluated, atol=1e-5)
  assert len(set(found.argmax(axis=1))) > 8  # no single answer to everything


def test_a_saved_model_answers_as_evaluation_does_by_its_signature(frozen, wavs, evaluated):
  with tf.Session(graph=tf.Graph()) as session:
    loaded = tf.saved_model.load(session, ['serve'], str(frozen.saved_model))
    signature = loaded.signature_def['serving_default']
    assert signature.inputs['wav_data'].name == 'wav_data:0'
    assert signature.outputs['labels_softmax'].name == 'labels_softmax:0'
    assert signature.method_name == 'tensorflow/serving/predict'
    np.testing.assert_allclose(scores(session, wavs), evaluated, atol=1e-5)


def test_the_graph_of_a_checkpoint_answers_as_evaluation_does(trained, wavs, evaluated):
  with wav_graph.restored(trained_network.find(str(trained.folder))) as session:
    np.testing.assert_allclose(scores(session, wavs), evaluated, atol=1e-5)


def test_a_pb_has_the_known_nodes_and_none_that_its_output_does_not_need(frozen):
  definition = read_pb(frozen.pb)
  nodes = {node.name: node for node in definition.node}
  assert nodes['wav_data'].op == 'Placeholder'
  assert nodes['decoded_sample_data'].op == 'DecodeWav'
  assert nodes['labels_softmax'].op == 'Softmax'
  needed, left = set(), ['labels_softmax']
  while left:
    name = left.pop()
    needed.add(name)
    left += [text.lstrip('^').partition(':')[0] for text in nodes[name].input]
  assert needed == set(nodes)
  assert not [node.op for node in definition.node if 'Var' in node.op or 'Assign' in node.op]
  with session_of(definition) as session:
    assert session.graph.get_tensor_by_name('wav_data:0').shape == []
    assert session.graph.get_tensor_by_name('labels_softmax:0').shape == [1, 12]


def test_the_labels_are_beside_the_pb_and_inside_the_saved_model(frozen, trained):
  expected = (trained.folder / 'labels.txt').read_text()
  assert (frozen.pb.parent / 'kws.labels.txt').read_text() == expected
  assert (frozen.saved_model / 'assets.extra' / 'labels.txt').read_text() == expected
  assert {path.name for path in frozen.pb.parent.iterdir()} == {'kws.pb', 'kws.labels.txt'}


def test_the_graph_is_the_same_whatever_kind_of_variables_the_program_has(trained):
  found, graphs = trained_network.find(str(trained.folder)), []
  before = tf.resource_variables_enabled()
  try:
    for switch in (tf.enable_resource_variables, tf.disable_resource_variables):
      switch()
      graphs.append(wav_graph.frozen(found))
  finally:
    (tf.enable_resource_variables if before else tf.disable_resource_variables)()
  assert graphs[0] == graphs[1]


@pytest.mark.parametrize(
  ('architecture', 'sizes'),
  [('crnn', (8, 10, 4, 2, 2, 1, 8, 8)), ('lstm', (6, 8)), ('low_latency_svdf', ())],
)
def test_other_architectures_freeze_too(architecture, sizes, trained, tmp_path, wavs):
  settings = run_settings.read(str(trained.folder / 'best' / 'x'))
  settings = settings._replace(architecture=architecture, sizes=sizes)
  run_settings.write(settings, str(tmp_path))
  assert networks.NETWORKS[architecture].length(sizes) == len(sizes)
  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
    wav_graph.build(settings)
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
    expected = scores(session, wavs[:3])
  output = tmp_path / 'new folder' / 'model.pb'
  assert freeze.main(['--checkpoint', str(tmp_path), '--output', str(output)]) == 0
  with session_of(read_pb(output)) as session:
    np.testing.assert_allclose(scores(session, wavs[:3]), expected, atol=1e-5)


@pytest.fixture
def run(trained, capsys):
  """Runs the command in this process: status, what it said."""

  def run_command(output, *words, checkpoint=trained.folder):
    status = freeze.main(['--checkpoint', str(checkpoint), '--output', str(output), *words])
    said = capsys.readouterr()
    return status, said.out + said.err

  return run_command


def contents(folder):
  return {str(path): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.mark.parametrize('name', ['a model.pb', 'a model', 'a model.labels.txt'])
def test_what_is_there_is_replaced_only_when_that_is_asked_for(name, run, tmp_path):
  output = tmp_path / name.replace('.labels.txt', '.pb')
  if name.endswith('.txt'):
    (tmp_path / name).write_text('mine')
  else:
    assert run(output)[0] == 0
    (output if output.is_file() else output / 'saved_model.pb').write_bytes(b'mine')
  before = contents(tmp_path)
  status, said = run(output)
  assert status == 2
  assert 'output must be new' in said
  assert '--overwrite' in said
  assert contents(tmp_path) == before
  assert run(output, '--overwrite')[0] == 0
  assert b'mine' not in contents(tmp_path).values()
  assert not list(tmp_path.rglob('.partial*'))


def test_a_folder_that_is_no_saved_model_is_never_replaced(run, tmp_path):
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos' / 'a.png').write_bytes(b'mine')
  for words in (['--overwrite'], ['--overwrite', '--format=pb']):
    status, said = run(tmp_path / 'photos', *words)
    assert status == 2
    assert 'something else. Name another.' in said
  assert list(contents(tmp_path).values()) == [b'mine']


def test_an_empty_folder_is_filled(run, tmp_path):
  (tmp_path / 'empty').mkdir()
  assert run(tmp_path / 'empty')[0] == 0
  assert (tmp_path / 'empty' / 'saved_model.pb').exists()


def test_the_old_file_stays_when_there_is_nothing_to_replace_it_with(run, tmp_path):
  assert run(tmp_path / 'model.pb')[0] == 0
  before = contents(tmp_path)
  (tmp_path / 'x').mkdir()
  status, said = run(tmp_path / 'model.pb', '--overwrite', checkpoint=tmp_path / 'x')
  assert status == 2
  assert 'a checkpoint must be the path before .index' in said
  assert contents(tmp_path) == before


def test_the_format_is_a_choice_whatever_the_name(run, tmp_path):
  assert run(tmp_path / 'model.pb', '--format', 'saved_model')[0] == 0
  assert (tmp_path / 'model.pb' / 'saved_model.pb').exists()
  assert run(tmp_path / 'model.bin', '--format', 'pb')[0] == 0
  assert read_pb(tmp_path / 'model.bin').node
  assert label_file.read(str(tmp_path / 'model.labels.txt'))[2] == 'yes'


def test_the_command_runs_from_another_folder_with_spaces_in_paths(run_tool, trained, tmp_path):
  done = run_tool('freeze.py', '--checkpoint', trained.folder, '--output', 'my model.pb')
  assert done.returncode == 0, done.stderr
  assert 'Traceback' not in done.stderr
  assert (tmp_path / 'my model.pb').exists()
  assert (tmp_path / 'my model.labels.txt').exists()
