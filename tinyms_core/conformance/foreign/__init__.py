"""The kit for optimizers that are not this library's: those of ``mindspore.nn``, each held to our semantics.

`peers` says whom there is to check, `probes` what of them works at all, `cases` which checks are run with the rest,
`process` runs them in a process of their own, since MindSpore can end the one that it is in, and `run` puts it
together.
"""
