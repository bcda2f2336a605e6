"""Networks for the deep generators: layers whose gradients factor row by row, heads, optimisers, the training loop.

Must never be imported without need: PyTorch is an extra. `nn.device` alone can be imported without it.
"""
