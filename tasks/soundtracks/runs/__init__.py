"""One collection run, from its settings to what is committed.

settings      check what the user chose
context       open the sources; what all steps of a run share
reconcile     which films are done; restore rows after a crash
plan          which films to collect, and which finished ones to reopen
schedule      in which order films are worked on
judge_again   what the present rule takes that an older one did not
preview       judge what would be fetched, and fetch nothing
collect       gather a film's recordings, and commit a film
pipeline      overlap gathering, extraction and commits, batch by batch
backfill      add recordings to finished films
fingerprints  make fingerprints again from mels, after an upgrade
availability  check what is still available
takedown      delete what must not be kept
"""
