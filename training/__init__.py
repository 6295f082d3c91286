"""The model and the experiment. Nothing here knows Prefect."""
