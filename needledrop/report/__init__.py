"""One HTML page about a data-set version: its systems, baselines, curves and films. Imports no torch.

The page holds everything that it shows: it loads no script, font or image, and its Content-Security-Policy forbids it.

page      the HTML page and its file
queries   the SQL behind every number
table     the headline and the tables next to the paper's Table 1
sections  curves, histograms, differences, training, slices, runs
films     the best and worst films with their first tracks
charts    SVG charts
style.css the style sheet
"""
