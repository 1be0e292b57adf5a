"""What OpenRLHF imports from FlashAttention, which needs CUDA; none of it is called in the tests."""
