"""Training and scoring: the recipe, losses, the Lightning task, `fit`, and prediction."""
