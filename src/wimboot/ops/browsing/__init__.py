"""The files of a volume as a host sees them: what extract and mount share."""
