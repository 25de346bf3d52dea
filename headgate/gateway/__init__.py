"""The data plane: moves exchanges, and names what went wrong."""
