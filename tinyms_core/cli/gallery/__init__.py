"""Pictures of what optimizers do, and a page that shows them."""
