"""One page that shows what the systems of a data-set version are worth, made from the lake alone.

`data` asks DuckDB, `charts` draws SVG, `page` writes HTML. The page holds everything it shows: no script, no
font, no picture is loaded when it is opened, and its own policy forbids it.
"""
