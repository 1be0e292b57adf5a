"""What every other room stands on: the words, the groups, and the checks."""
