"""From symptoms to causes to explanations: pure functions over the record, no sockets, no event loop."""
