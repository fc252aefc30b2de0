"""InputError: something the user gave cannot be used. The commands end with it and status 2."""


class InputError(ValueError):
  """Says what must hold, what was got, and what to do."""
