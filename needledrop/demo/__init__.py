"""The sample corpus: invented films with plots, posters and music, made from one seed on the spot."""
