"""What ``tinyms-optim new`` is made of: names, templates, and the folder that is written."""
