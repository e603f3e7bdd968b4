"""Looking inside a network: the maps between its layers, and a drawing of how they are joined."""
