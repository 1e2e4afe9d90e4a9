"""For all tests: found examples must not depend on the luck or the load of the machine that runs them."""

from hypothesis import settings

settings.register_profile("painterly", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("painterly")
