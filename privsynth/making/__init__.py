"""How the columns of an imagined table are made: what a rules file declares, its checks, and drawing columns."""
