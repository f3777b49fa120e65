"""The drive profile CiA 402 as data: states, words, modes and error codes."""
