"""Streams: held back until they work (`inlet`), watched, and joined to another target's answer when they break
(`anchor`, `resume`)."""
