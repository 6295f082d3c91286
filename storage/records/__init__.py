"""What is written into the lake's tables: outcomes, reviews, the takedown list, flow runs."""
