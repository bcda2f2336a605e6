"""Learning: predicting one declared column from the others, to judge or to improve what a table is good for."""
