"""What one step of the road does to one batch: the Prefect tasks and the plain functions they call."""
