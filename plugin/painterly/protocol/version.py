"""The two numbers that say who speaks: the contract's and the program's."""

# Raised whenever an old peer would misread a new one; peers with different numbers do not talk.
PROTOCOL = 2

# The release, for humans and reports.
PAINTERLY = "0.1.0"
