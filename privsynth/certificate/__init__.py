"""The certificate: what a release says about itself (statement), signed (envelope, keys), and checked (verify)."""
