"""The backend: engine, command line and service. Importing it does nothing."""
