"""The control plane: the parent that keeps the processes alive, and the one process that knows what they should do."""
