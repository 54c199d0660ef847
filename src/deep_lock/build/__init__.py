"""The wing that knows sdists: what they say without being run, and (in a sandbox) what their backends answer."""
