"""When things run: one thin file a flow."""
