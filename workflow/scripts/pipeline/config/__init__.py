"""The schema of the configuration, a module per section; ``config.py`` is the whole."""
