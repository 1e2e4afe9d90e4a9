"""What install.py is made of: standard library only, Python 3.9, used from a checkout and never installed."""
