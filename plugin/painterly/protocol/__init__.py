"""The contract between plugin and backend, written once; standard library only, Python 3.8 syntax."""
