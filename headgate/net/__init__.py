"""What the network says, as signals and facts: names and their addresses, kernel errors, TLS alerts, certificates, TCP."""
