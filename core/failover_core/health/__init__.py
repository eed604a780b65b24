"""Belief about targets. `suspicion`, `breaker`, `latency` and `ratelimit` are pure; `book` is the only shared
mutable object of the core."""
