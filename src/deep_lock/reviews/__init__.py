"""Changes and findings in the forms in which people and programs look at them."""
