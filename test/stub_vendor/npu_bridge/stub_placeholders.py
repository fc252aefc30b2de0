"""STUB only: names that need an Ascend device, so they fail when called and not at import."""


def _refuse(name):
  raise NotImplementedError(
    f'{name} needs an Ascend device: the npu_bridge stub has the name but no kernel behind it'
  )


def placeholder(name):
  """A function of that name that raises when called."""

  def unavailable(*args, **kwargs):
    _refuse(name)

  unavailable.__name__ = name
  return unavailable


def placeholder_class(name):
  """A class of that name that raises when an object of it is made."""

  def refuse_instance(self, *args, **kwargs):
    _refuse(name)

  return type(name, (), {'__init__': refuse_instance, '__doc__': 'STUB placeholder.'})
