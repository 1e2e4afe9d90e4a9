"""Painterly for Krita: a thin plugin that exports layers to a local backend and puts results back.

Importing this package outside Krita does nothing, so that the backend can read `protocol`.
"""
