"""Which arguments of a user's function are seen."""

import functools

from npu_adapter.runtime import call_arguments


def plain(features, labels, mode=None):
  return features, labels, mode


class Holder:
  def method(self, features, params):
    return features, params

  def __call__(self, features, config):
    return features, config


def logged(function):
  @functools.wraps(function)
  def wrapper(*args, **kwargs):
    return function(*args, **kwargs)

  return wrapper


def narrowed(function):
  @functools.wraps(function)
  def wrapper(features):
    return function(features, None)

  return wrapper


def test_a_function_gives_all_its_names():
  assert call_arguments.names_of(plain) == ('features', 'labels', 'mode')


def test_keyword_only_arguments_count():
  def function(features, *, mode):
    return features, mode

  assert call_arguments.names_of(function) == ('features', 'mode')


def test_what_a_partial_has_bound_does_not_count():
  assert call_arguments.names_of(functools.partial(plain, mode='train')) == ('features', 'labels')
  assert call_arguments.names_of(functools.partial(plain, 1)) == ('labels', 'mode')


def test_self_of_a_bound_method_and_of_a_callable_object_does_not_count():
  assert call_arguments.names_of(Holder().method) == ('features', 'params')
  assert call_arguments.names_of(Holder()) == ('features', 'config')


def test_a_decorator_that_passes_everything_on_shows_what_it_wraps():
  assert call_arguments.names_of(logged(plain)) == ('features', 'labels', 'mode')


def test_a_decorator_with_arguments_of_its_own_shows_those():
  assert call_arguments.names_of(narrowed(plain)) == ('features',)


def test_star_arguments_have_no_name():
  assert call_arguments.names_of(lambda features, *rest, **more: None) == ('features',)
