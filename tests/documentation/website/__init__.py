"""What the site is made of beside the pages under docs/: formulas, pages of optimizers, navigation."""
