"""privsynth: differentially private synthetic tables, attacked before they leave and certified."""
