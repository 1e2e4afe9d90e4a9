"""The parts of the service (see backend/server.py); none of them computes or imports torch."""
