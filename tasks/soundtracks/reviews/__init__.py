"""People's check of the matching rule: a blind sample, the sheet they rate it in, and the ratings read back.

draw_sample         draw pairs of the lake by band of the score, kind of source, decade and language
write_rating_sheet  write a sample as CSV and as a page for a browser (sheet.css, sheet.js)
read_rated_sheet    read a rated sheet, and record the answers
"""
