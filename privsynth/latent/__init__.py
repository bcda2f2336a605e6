"""The latent class model: a mixture of products, fitted to all noisy pair tables at once.

Must never ask for data or spend budget: everything here works on a transcript, which is public.
"""
