"""The command line: the only place that reads the environment, and the only owner of the terminal."""
