"""The `needledrop` command: one typer app, one module per command."""
