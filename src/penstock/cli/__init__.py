"""The command line: arguments in, facade called, text or JSON out. Holds no logic."""
