"""What talks to the outside: one connector per outside system (S22). Called by a worker, never inside a transaction."""
