"""From an image to a volume: what apply, restore and convert --format share."""
