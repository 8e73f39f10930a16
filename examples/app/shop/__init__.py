"""A small shop: carts, prices, taxes, and a web server that answers for them. Standard library only."""
