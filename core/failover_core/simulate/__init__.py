"""The same engine in a simulated world: hours of traffic through incidents, beside the policies of others."""
