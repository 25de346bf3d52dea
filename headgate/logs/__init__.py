"""The log reader: other gateways' logs, recognised, read in one pass, joined, and told as causes."""
