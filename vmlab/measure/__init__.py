"""Measuring: the clock, interleaved samples, what may be concluded from them, and the machine."""
