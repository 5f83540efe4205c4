"""The native scheduler: tasks on worker threads, channels, parking. `layout` says what lies in
memory, `composition` puts the pieces together to machine code, `machine` runs it."""
