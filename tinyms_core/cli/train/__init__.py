"""Training a small convolutional network on real handwritten digits."""
