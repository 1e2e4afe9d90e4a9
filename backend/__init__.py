"""The backend: engine, command line and service. Importing it loads nothing."""

import os

# Torch reads it when it is loaded. Older ones cannot resample with antialiasing or solve equations on a Mac's graphics
# card (https://github.com/pytorch/pytorch/issues/141287): the processor does it then, where else every job would fail.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
