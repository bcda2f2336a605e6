"""The stores of the ledger, one file each: `memory` for exploring, `sqlite` for releases."""
