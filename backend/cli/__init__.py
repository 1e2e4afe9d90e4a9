"""The commands of `painterly`, one module each: `add_arguments(parser)` and `run(args) -> exit code`."""
