"""The command line ``tinyms-optim``.

A command's module imports only click and the registry; what it works with, MindSpore above all, is imported
when the command runs, so that ``tinyms-optim --help`` and ``tinyms-optim list`` answer at once.
"""
