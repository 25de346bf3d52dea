"""The configuration file: what it may say, how it is read, and what it should not say."""
