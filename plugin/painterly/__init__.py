"""Painterly for Krita: a thin plugin that exports layers to a local backend and puts results back.

Importing this package outside Krita does nothing, so that the backend can read `protocol`.
"""

# Krita loads plugins as top-level packages; the backend and the tests know this one as plugin.painterly.
if __name__ == "painterly":
    from . import vendor

    vendor.add_to_path()

    from .extension import register

    register()
