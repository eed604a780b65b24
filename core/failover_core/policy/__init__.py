"""Preferences and rules as small pure functions: `guards` (may this target take this request?), `ranking` (in which
order?), `verdicts` (what does a failure mean for the request and for the target?)."""
