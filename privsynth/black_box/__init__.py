"""Anybody's generator, of which nothing is known but what it gives back: run through an adapter, and held to its claim."""
