"""What gets compiled to machine code. It knows `vmlab.isa`, `vmlab.program`, `vmlab.verifier` and
the data of `vmlab.outcome` and `vmlab.engines`, and nothing else of vmlab."""
