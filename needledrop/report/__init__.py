"""One HTML page about a data-set version: its systems, baselines, curves and films. Imports no torch.

The page holds everything that it shows: it loads no script, font or image, and its Content-Security-Policy forbids it.

page                  the HTML page and its file; its headline
report_queries        the SQL behind every number
result_tables         the tables: results next to the paper's Table 1, by film, differences, kinds of film, pairs, runs
svg_charts            recall curves, histograms of ranks and losses over epochs, as SVG
best_and_worst_films  the best and worst films with their first tracks
style.css             the style sheet
"""
