"""The studio: a local page, and a JSON API, with which a film maker searches music, listens, keeps and exports.

app            the application, put together; the page, log-in, static files
routes         the routes of the API
studio         what the routes share
api_requests   what the API takes
api_answers    what the API returns
error_answers  how errors are answered
security       hosts, origins, the token, sizes and headers: what is checked before any route
engine         models and libraries in memory, one search at a time
memory         what is kept of the last searches
references     recordings that the music should, or should not, sound like
about          what can be searched, what the models were trained on, and what to type when there is nothing
audio          the file of a track, checked again before it is opened, and sent in ranges
transcoding    what a browser cannot play, as WAV that can be sought in
exports        a shortlist as CSV, as a page to print, and as a cue sheet
"""
