"""The engine `cpython`: a program as Python source, run by the CPython that runs vmlab."""
