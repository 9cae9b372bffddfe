"""The processes that train together, and how memory goes from one to another; optimizers stand above it."""
