"""dpsynth: differentially private synthetic tables, accounted, attacked, gated and signed."""
