"""What is kept and how it is found again. Nothing here knows Prefect or the network."""
