"""The studio: a local page, and a JSON API, with which a film maker searches music, listens, keeps and exports.

app                the application, put together
routes             the page, static files, log-in and the routes of the API
security           hosts, origins, the token, sizes and headers: what is checked before any route
api_requests       what the API takes
api_responses      what the API returns, and how errors are answered
engine             models, libraries, references and the last searches in memory, one search at a time
searchable         what can be searched, what the models were trained on, and what to type when there is nothing
track_lookup       tracks by id: what is known of them; none that was taken down
audio_file_check_and_streaming    the file of a track, checked again before it is opened, and sent in ranges
transcoding        what a browser cannot play, as WAV that can be sought in
shortlist_exports  a shortlist as CSV, as a page to print, and as a cue sheet
"""
