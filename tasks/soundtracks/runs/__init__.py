"""One collection run, from its settings to what is committed.

soundtrack_option_checks  check what the user chose
open_sources  open the sources; what all steps of a run share
crash_recovery  restore rows after a crash, and delete what it left
plan          which films to collect and which finished ones to reopen, and in which order
retry_schedule  when what failed is tried again, by what earlier runs recorded
judge_again_by_newer_rule  what the present rule takes that an older one did not, and what it refused
preview       judge what would be fetched, and fetch nothing
collect_film  ask a film's sources in turn, fetch its recordings, and commit them
batch_pipeline  overlap gathering, extraction and commits, batch by batch, as Prefect tasks
reopen_finished_films  add recordings to films that are done
embed_collected_audio  embed with encoders what was collected without
fingerprint_upgrade  make fingerprints again from mels, after an upgrade
availability  check what is still available
takedown      delete what must not be kept
"""
