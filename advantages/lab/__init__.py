"""Small worlds in which everything that can happen is enumerated, so that nothing is sampled."""
