"""`advantages eval`: how often a model answers a benchmark's problems rightly, with intervals and a full record."""
